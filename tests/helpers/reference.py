"""Slow references in NumPy, float64, one clip, frame and joint at a time, written from the paper's equations and
docs/FIDELITY.md: nothing here imports pcm3, so nothing here can repeat its mistakes.
"""

import math

import numpy as np

EPSILON = 1e-5  # of PyTorch's BatchNorm


def info_nce(query, key, queue, temperature):
    """PCM³ eq. 1, the mean over the batch: query (B, E), key (B, E), queue (K, E)."""
    losses = []
    for z, positive in zip(query, key, strict=True):
        numerator = math.exp(z @ positive / temperature)
        denominator = numerator + sum(math.exp(z @ negative / temperature) for negative in queue)
        losses.append(-math.log(numerator / denominator))
    return np.mean(losses)


def relations(z, queue, temperature):
    """p(z, τ) of eq. 3: (K,)."""
    weights = [math.exp(z @ anchor / temperature) for anchor in queue]
    return np.array(weights) / sum(weights)


def distillation(query, key, queue, student_temperature, teacher_temperature):
    """Eq. 3 as KL(p(key) ‖ p(query)), the mean over the batch."""
    losses = []
    for z, positive in zip(query, key, strict=True):
        student = relations(z, queue, student_temperature)
        teacher = relations(positive, queue, teacher_temperature)
        losses.append(sum(t * (math.log(t) - math.log(s)) for t, s in zip(teacher, student, strict=True)))
    return np.mean(losses)


def cross_entropy(query, key, queue, student_temperature, teacher_temperature):
    """Eq. 3 as it is printed, the mean over the batch."""
    losses = []
    for z, positive in zip(query, key, strict=True):
        student = relations(z, queue, student_temperature)
        teacher = relations(positive, queue, teacher_temperature)
        losses.append(-sum(t * math.log(s) for t, s in zip(teacher, student, strict=True)))
    return np.mean(losses)


def masked_prediction(predicted, source, hidden, error):
    """Eq. 4: predicted and source (B, T, M, V, C), hidden (B, T, M, V)."""
    total, joints = 0.0, 0
    for place in np.argwhere(hidden):
        difference = predicted[tuple(place)] - source[tuple(place)]
        joints += 1
        if error == "distance":
            total += math.sqrt(sum(d * d for d in difference))
        else:
            total += sum(d * d for d in difference) / len(difference)
    return total / joints if joints else 0.0


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_step(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """One step of a gated recurrent unit (Cho et al. 2014, with PyTorch's gate order r, z, n): (H,)."""
    from_input = weight_ih @ x + bias_ih
    from_past = weight_hh @ h + bias_hh
    input_r, input_z, input_n = np.split(from_input, 3)
    past_r, past_z, past_n = np.split(from_past, 3)
    reset = sigmoid(input_r + past_r)
    update = sigmoid(input_z + past_z)
    new = np.tanh(input_n + reset * past_n)
    return (1 - update) * new + update * h


def gru(frames, weights, backward=False):
    """A GRU over frames (T, I), from the first to the last or backward; the outputs (T, H) stay in frame order."""
    h = np.zeros(weights[1].shape[1])
    outputs = [h] * len(frames)
    for t in reversed(range(len(frames))) if backward else range(len(frames)):
        h = gru_step(frames[t], h, *weights)
        outputs[t] = h
    return np.array(outputs)


def batch_norm(x, weight, bias, axes):
    """Training-mode BatchNorm over `axes`; the features are the last axis."""
    mean, variance = x.mean(axis=axes), x.var(axis=axes)
    return (x - mean) / np.sqrt(variance + EPSILON) * weight + bias


def flat_inputs(clips):
    """(B, T, M, V, C) → (B, T, V·C·M), number by number."""
    size, frames, bodies, joints, coordinates = clips.shape
    flat = np.zeros((size, frames, joints * coordinates * bodies))
    for m in range(bodies):
        for v in range(joints):
            for c in range(coordinates):
                flat[:, :, (v * coordinates + c) * bodies + m] = clips[:, :, m, v, c]
    return flat


def clips_from_flat(flat, bodies, joints):
    """The inverse of `flat_inputs`."""
    size, frames, inputs = flat.shape
    coordinates = inputs // (bodies * joints)
    clips = np.zeros((size, frames, bodies, joints, coordinates))
    for m in range(bodies):
        for v in range(joints):
            for c in range(coordinates):
                clips[:, :, m, v, c] = flat[:, :, (v * coordinates + c) * bodies + m]
    return clips


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


class Numbers:
    """A PCM3's weights as float64 arrays, by the names of its state dict, and what the method computes with them."""

    def __init__(self, state_dict, hidden, direction, bodies, joints):
        self.of = {name: tensor.double().numpy() for name, tensor in state_dict.items()}
        self.hidden, self.direction, self.bodies, self.joints = hidden, direction, bodies, joints

    def _gru(self, module, layer, frames, suffix="", backward=False):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = [self.of[f"{module}.{name}_l{layer}{suffix}"] for name in names]
        return np.array([gru(clip, weights, backward) for clip in frames])

    def encode(self, network, flat, before_norm=0.0, after_norm=0.0):
        """Flat inputs (B, T, I) and a prompt → frame features (B, T, 2H); BatchNorm sees this view alone."""
        weight, bias = self.of[f"{network}.norm.weight"], self.of[f"{network}.norm.bias"]
        x = batch_norm(flat + before_norm, weight, bias, (0, 1)) + after_norm
        layer = 0
        while any(name.startswith(f"{network}.layers.{layer}.") for name in self.of):
            halves = f"{network}.layers.{layer}.halves"
            if self.direction == "causal":
                parts = [self._gru(f"{halves}.{half}", 0, x) for half in (0, 1)]
            else:
                parts = [self._gru(f"{halves}.0", 0, x), self._gru(f"{halves}.0", 0, x, "_reverse", backward=True)]
            x = np.concatenate(parts, axis=-1)
            layer += 1
        return x

    def pool(self, features):
        """Each half where it has seen the whole clip."""
        if self.direction == "causal":
            return features[:, -1]
        return np.concatenate([features[:, -1, : self.hidden], features[:, 0, self.hidden :]], axis=-1)

    def project(self, network, features):
        inner = features @ self.of[f"{network}.layers.0.weight"].T + self.of[f"{network}.layers.0.bias"]
        outer = np.maximum(inner, 0) @ self.of[f"{network}.layers.2.weight"].T + self.of[f"{network}.layers.2.bias"]
        return unit(outer)

    def project_normed(self, network, features):
        """With a BatchNorm before the ReLU, in training."""
        inner = features @ self.of[f"{network}.layers.0.weight"].T + self.of[f"{network}.layers.0.bias"]
        inner = batch_norm(inner, self.of[f"{network}.layers.1.weight"], self.of[f"{network}.layers.1.bias"], 0)
        return unit(
            np.maximum(inner, 0) @ self.of[f"{network}.layers.3.weight"].T + self.of[f"{network}.layers.3.bias"]
        )

    def decode(self, features):
        """Frame features, prompted (B, T, 2H) → flat predictions (B, T, I)."""
        x = features @ self.of["decoder.enter.weight"].T + self.of["decoder.enter.bias"]
        x = np.maximum(batch_norm(x, self.of["decoder.norm.weight"], self.of["decoder.norm.bias"], (0, 1)), 0)
        x = x @ self.of["decoder.bridge.weight"].T + self.of["decoder.bridge.bias"]
        for layer in (0, 1):
            x = self._gru("decoder.gru", layer, x)
        return x @ self.of["decoder.leave.weight"].T + self.of["decoder.leave.bias"]

    def prompt(self, name):
        """A domain prompt or a task prompt that is as wide as the feature (its window has one place only)."""
        kind, _, which = name.partition(".")
        return self.of[f"{kind}.{which}.vector"]

    def terms(self, views, momentum, temperatures, error, predicted_view, domain_place):
        """Every term of one step (eq. 1 to 7), and the keys; for task prompts as wide as the feature."""
        contrast_temperature, student_temperature, teacher_temperature = temperatures
        query, key, source = (x.double().numpy() for x in (views.query, views.key, views.source))
        mixed, hidden = views.mixed.clips.double().numpy(), views.masked.numpy()
        partner, ratio = views.mixed.partner.numpy(), views.mixed.ratio.double().numpy()
        masked = source * ~hidden[..., None]

        def embedded(network, projector, view, flat):
            features = self.encode(network, flat, **{domain_place: self.prompt(f"domain_prompts.{view}")})
            return features, self.project(projector, self.pool(features) + self.prompt("task_prompts.contrast"))

        z, queries = {}, ("encoder", "projector")
        _, z["intra"] = embedded(*queries, "intra", flat_inputs(query))
        _, z["inter"] = embedded(*queries, "inter", flat_inputs(mixed))
        features, z["mask"] = embedded(*queries, "mask", flat_inputs(masked))
        flat = self.decode(features + self.prompt("task_prompts.prediction"))
        predicted = clips_from_flat(flat, self.bodies, self.joints)
        view = np.where(hidden[..., None], predicted, source) if predicted_view == "filled" else predicted
        _, z["predict"] = embedded(*queries, "predict", flat_inputs(view))

        _, keys = embedded("key_encoder", "key_projector", "intra", flat_inputs(key))
        mixed_keys = unit(np.array([(1 - ratio[i]) * keys[i] + ratio[i] * keys[partner[i]] for i in range(len(keys))]))

        terms = {"prediction": masked_prediction(predicted, source, hidden, error)}
        queue = self.of["queue.keys"]
        for name, embedding in z.items():
            positive = mixed_keys if name == "inter" else keys
            terms[f"contrast/{name}"] = info_nce(embedding, positive, queue, contrast_temperature)
            terms[f"distillation/{name}"] = distillation(
                embedding, positive, queue, student_temperature, teacher_temperature
            )
        for name in [name for name in self.of if name.startswith("key_") and "running" not in name]:
            if "num_batches" not in name:
                self.of[name] = momentum * self.of[name] + (1 - momentum) * self.of[name.removeprefix("key_")]
        return terms, keys
