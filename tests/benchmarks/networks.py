"""A training step and a prediction of each network, beside others on the same films.

All from random weights, with Adam and binary cross-entropy, on the same random films.
"""

from __future__ import annotations

import os

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SIZE, BATCH = 256, 8
OUTPUT_STRIDE, RATES = 16, (6, 12, 18)
LEARNING_RATE = 0.01
TRAIN, PREDICT, POOL = "training step", "prediction", "pooling and unpooling"


def films_and_masks(size: int, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A batch of random grey films (BATCH, size, size, channels), 0..255, and masks, 0 or 1."""
    random = np.random.default_rng(0)
    films = random.integers(0, 256, (BATCH, size, size, 1)).astype(np.float32)
    masks = (random.random((BATCH, size, size, 1)) > 0.9).astype(np.float32)
    return np.repeat(films, channels, axis=-1), masks


def segnet(size: int = SIZE):
    """SegNet as the recipe `paper` has it, and its pooling and unpooling alone."""
    from pneumo_keras.models.layers import MaxPoolingWithIndices2D, MaxUnpooling2D

    works = _keras_works(paper_network("segnet", size), size)
    return works | _pooling_works(MaxPoolingWithIndices2D(), MaxUnpooling2D())


def segnet_with_argmax(size: int = SIZE):
    """The same, pooled with `tf.nn.max_pool_with_argmax` and unpooled by scattering."""
    from benchmarks.argmax import ArgmaxPooling, ScatterUnpooling

    works = _keras_works(with_argmax(paper_network("segnet", size)), size)
    return works | _pooling_works(ArgmaxPooling(), ScatterUnpooling())


def deeplabv3(size: int = SIZE):
    """DeepLabV3 as the recipe `paper` has it, but for the loss."""
    return _keras_works(paper_network("deeplabv3", size), size)


def deeplabv3_of_the_paper(size: int = SIZE):
    """DeepLabV3 as the recipe `paper` has it, the hybrid loss included."""
    return _keras_works(paper_network("deeplabv3", size), size, "hybrid_published", (TRAIN,))


def deeplabv3_of_keras_hub(size: int = SIZE):
    """keras-hub's, whose backbone has no atrous convolutions: its pyramid on the features of
    conv4, for the same output stride with one block less."""
    import keras_hub

    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[3, 4, 6, 3],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="bottleneck_block",
        image_shape=(size, size, 3),
    )
    pyramid = keras_hub.models.DeepLabV3Backbone(
        image_encoder=backbone,
        spatial_pyramid_pooling_key="P4",
        upsampling_size=OUTPUT_STRIDE,
        dilation_rates=list(RATES),
        image_shape=(size, size, 3),
    )
    model = keras_hub.models.DeepLabV3ImageSegmenter(pyramid, num_classes=1, activation="sigmoid")
    return _keras_works(model, size, channels=3)


def deeplabv3_of_smp(size: int = SIZE):
    """segmentation-models-pytorch's, its channels last in memory, which is faster on a CPU.

    It has one 3x3 convolution more behind the pyramid, and no multi-grid.
    """
    import segmentation_models_pytorch
    import torch

    from benchmarks.turns import Work

    model = segmentation_models_pytorch.DeepLabV3(
        "resnet50",
        encoder_weights=None,
        encoder_output_stride=OUTPUT_STRIDE,
        decoder_atrous_rates=RATES,
        classes=1,
    ).to(memory_format=torch.channels_last)
    films, masks = (
        torch.from_numpy(array).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        for array in films_and_masks(size, 3)
    )
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    loss = torch.nn.BCEWithLogitsLoss()

    def train():
        model.train()
        optimizer.zero_grad()
        loss(model(films), masks).backward()
        optimizer.step()

    def predict():
        model.eval()
        with torch.inference_mode():
            torch.sigmoid(model(films))

    return {TRAIN: Work(train, BATCH), PREDICT: Work(predict, BATCH)}


def paper_network(network: str, size: int):
    """One of the study's networks as the recipe `paper` has it, its weights random."""
    from pneumo_keras.training.networks import build_network
    from pneumo_keras.training.recipes import choose_recipe

    settings = {f"{network}_weights": None, "size": size, "atrous_rates": RATES}
    return build_network(network, choose_recipe("paper", settings)).model


def with_argmax(segnet):
    """A SegNet of other layers for pooling and unpooling, and new weights."""
    import keras

    from benchmarks.argmax import ArgmaxPooling, ScatterUnpooling
    from pneumo_keras.models.layers import MaxPoolingWithIndices2D, MaxUnpooling2D

    others = {MaxPoolingWithIndices2D: ArgmaxPooling, MaxUnpooling2D: ScatterUnpooling}

    def other(layer):
        return others.get(type(layer), type(layer)).from_config(layer.get_config())

    return keras.models.clone_model(segnet, clone_function=other)


def _keras_works(model, size: int, loss="binary_crossentropy", works=(TRAIN, PREDICT), channels=1):
    import keras

    from benchmarks.operations import forward_operations, step_operations
    from benchmarks.turns import Work
    from pneumo_keras.training.losses import LOSSES

    films, masks = films_and_masks(size, channels)
    model.compile(keras.optimizers.Adam(LEARNING_RATE), LOSSES[loss]())
    all_works = {
        TRAIN: Work(
            lambda: model.train_on_batch(films, masks), BATCH, BATCH * step_operations(model)
        ),
        PREDICT: Work(
            lambda: model.predict_on_batch(films), BATCH, BATCH * forward_operations(model)
        ),
    }
    return {name: all_works[name] for name in works}


def _pooling_works(pooling, unpooling):
    from benchmarks.argmax import pool_and_unpool
    from benchmarks.turns import Work

    return {POOL: Work(pool_and_unpool(pooling, unpooling, BATCH), BATCH)}
