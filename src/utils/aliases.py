"""Names of our configuration keys in other programs, for hints."""

ALIASES = {
    "lr": "learning_rate",
    "base_lr": "learning_rate",
    "wd": "weight_decay",
    "warmup": "warmup_epochs",
    "warm_up_epoch": "warmup_epochs",
    "clip_grad": "grad_clip",
    "accumulation_steps": "gradient_accumulation_steps",
    "workers": "hardware.num_workers",
    "num_workers": "hardware.num_workers",
    "num_worker": "hardware.num_workers",
    "threads": "hardware.cpu_threads",
    "frames": "input_frames",
    "window_size": "input_frames",
    "smoothing": "label_smoothing",
    "ema": "ema.decay",
    "ema_decay": "ema.decay",
    "scale": "data.augment.scale",
    "rotation": "data.augment.rotation_degrees",
    "mirror": "data.augment.mirror_probability",
}
