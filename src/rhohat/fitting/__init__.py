"""A fit, without scikit-learn: training, its memory plan, what it has done so far, checkpoints, rows passed forward."""
