"""Whether a network learns digits."""

import jax
import numpy as np
import optax

from fracture import data, training


def digits_accuracy(network, rate):
    """Share of 1,000 digits of 14 × 14 pixels that a network gets right, trained on 2,000."""
    digits = data.digits(14)

    @jax.jit
    def train_and_test(key, inputs, labels):
        got = training.fit(
            key,
            network.apply,
            network.init(key),
            inputs[:2000],
            labels[:2000],
            loss="cross_entropy",
            optimizer=optax.adam(optax.cosine_decay_schedule(rate, 500)),
            batch_size=50,
            steps=500,
            train_apply=network.train_apply,
        )
        return jax.vmap(network.apply, (None, 0))(got.params, inputs[2000:]).argmax(1)

    answers = train_and_test(jax.random.key(0), digits.inputs[:3000], digits.labels[:3000])
    return np.mean(np.asarray(answers) == np.asarray(digits.labels[2000:3000]))
