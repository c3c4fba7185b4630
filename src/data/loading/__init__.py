"""From a store to batches of input streams: sampling, augmentation, normalisation, on the device."""
