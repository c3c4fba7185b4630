"""Recognition in streams of frames: several people, one label each, without torch.

A frame goes to `stream.StreamRecognizer`, which keeps the last seconds of each person (`frame_history`), finds out who
is who where the stream does not say (`tracking`), and turns probabilities into the starts and ends of actions
(`actions`).
"""
