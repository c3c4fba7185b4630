"""The names of the suite's parts; nothing is imported here, so that listing them does not import torch."""

TRAIN_CLIPS, TEST_CLIPS = 40_091, 16_487  # of NTU RGB+D 60, cross-subject

PARTS = {
    "training": "training steps and inference of the models, against the plain reference",
    "inference": "one clip from joints to logits on the CPU, through every path",
    "guards": "the cost of guards and checkpoints in a training",
    "allocator": "training steps with and without the freed memory that a process keeps",
    "losses": "differences between the losses of the fast path and of the plain one",
    "data": "the data path alone: from the store to augmented streams",
    "preprocess": "raw NTU text to a store",
    "evaluation": "testing beside training",
    "distillation": "the cost of a live and of a cached teacher in a student's training step",
    "epochs": "whole trainings over a set of NTU RGB+D 60's size",
    "gpu": "everything that a GPU has to show: correctness, speed and accuracy",
    "roofline": "the limits of this machine, and how close a training step comes to them",
}
