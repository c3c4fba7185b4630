"""The names of the suite's parts; nothing is imported here, so that a list of them need not wait for torch."""

TRAIN_CLIPS, TEST_CLIPS = 40_091, 16_487  # of NTU RGB+D 60, cross-subject

PARTS = {
    "training": "training steps and inference of the models, against the plain reference",
    "inference": "one clip from joints to logits on the CPU, through every path there is",
    "guards": "what guards and checkpoints cost a training",
    "losses": "how far the losses of the fast path are from those of the plain one",
    "data": "the data path alone: from the store to augmented streams",
    "preprocess": "raw NTU text to a store",
    "evaluation": "testing beside training",
    "distillation": "what a live teacher, and a cached one, cost a student's training step",
    "epochs": "whole trainings over a set of NTU RGB+D 60's size",
    "roofline": "what this machine could do at most, and how far a training step is from it",
}
