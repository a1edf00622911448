"""Printed names of losses and optimizers, for tables and figures."""

LOSS_NAMES = {
    "binary_crossentropy": "Binary cross-entropy",
    "hybrid_published": "unet3p_hybrid_loss (as published)",
    "hybrid_corrected": "unet3p_hybrid_loss (corrected)",
    "crossentropy_dice": "Binary cross-entropy + soft Dice",
}
OPTIMIZER_NAMES = {"adam": "Adam", "adamw": "AdamW"}
