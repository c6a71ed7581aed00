"""What a model has learned: metrics, evaluation, edges among filters, pictures, and the report."""
