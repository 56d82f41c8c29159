import torch

from pcm3.nn.neighbours import nearest


def test_the_largest_of_each_row_and_all_where_there_are_no_more():
    relations = torch.tensor([[0.1, 0.9, -0.3, 0.5], [0.2, -1.0, 0.3, 0.1]])
    assert nearest(relations, 1).tolist() == [[False, True, False, False], [False, False, True, False]]
    assert nearest(relations, 3).tolist() == [[True, True, False, True], [True, False, True, True]]
    assert nearest(relations, 9).all()
