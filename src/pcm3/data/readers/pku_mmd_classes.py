"""The 51 action names of PKU-MMD, the same in both parts."""

CLASSES = (
    "bow", "brush hair", "brush teeth", "check time", "cheer up", "clap", "cross hands in front", "drink water", "drop",
    "eat meal", "fall down", "give object", "hand wave", "shake hands", "hop", "hug", "jump up", "kick person",
    "kick something", "phone call", "pat on back", "pick up", "play with phone", "point finger at person",
    "point to something", "punch", "push", "put on a hat", "put object into pocket", "read", "rub two hands", "salute",
    "sit down", "stand up", "take off a hat", "take off glasses", "take off jacket", "take object out of pocket",
    "take a selfie", "tear up paper", "throw", "back pain", "chest pain", "headache", "neck pain",
    "type on a keyboard", "fan self", "put on jacket", "put on glasses", "wipe face", "write",
)  # fmt: skip
"""In the order of the label files' numbers, 1 first; an action that NTU RGB+D has too is called as it is there.

Two people take part in numbers 12, 14, 16, 18, 21, 24, 26, 27, 29 and 38 (the pocket is the other person's).
"""
