"""DeepLabV3 of segmentation-models-pytorch, in a module that imports no TensorFlow."""

from __future__ import annotations

import numpy as np

from benchmarks.turns import Work

SIZE, BATCH = 256, 8
LEARNING_RATE = 0.01
TRAIN, PREDICT = "training step", "prediction"


def random_batch(size: int, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Random grey images (BATCH, size, size, channels), 0..255, and masks, 0 or 1."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (BATCH, size, size, 1)).astype(np.float32)
    masks = (random.random((BATCH, size, size, 1)) > 0.9).astype(np.float32)
    return np.repeat(images, channels, axis=-1), masks


def deeplabv3_of_smp(size: int = SIZE) -> dict[str, Work]:
    """With one 3x3 convolution more behind the pyramid, and no multi-grid.

    Its channels are last in memory, which is faster on a CPU.
    """
    import segmentation_models_pytorch
    import torch

    last = {"memory_format": torch.channels_last}
    model = segmentation_models_pytorch.DeepLabV3(
        "resnet50",
        encoder_weights=None,
        encoder_output_stride=16,
        decoder_atrous_rates=(6, 12, 18),
        classes=1,
    ).to(**last)
    batch = [torch.from_numpy(array).permute(0, 3, 1, 2) for array in random_batch(size, 3)]
    images, masks = (array.contiguous(**last) for array in batch)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    loss = torch.nn.BCEWithLogitsLoss()

    def train():
        model.train()
        optimizer.zero_grad()
        loss(model(images), masks).backward()
        optimizer.step()

    def predict():
        model.eval()
        with torch.inference_mode():
            torch.sigmoid(model(images))

    return {TRAIN: Work(train, BATCH), PREDICT: Work(predict, BATCH)}
