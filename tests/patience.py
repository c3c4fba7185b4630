"""How long a test waits for another process or thread before it calls it stuck.

It only ends what hangs and measures nothing: a loaded machine is no defect.
"""

PATIENCE_S = 600
