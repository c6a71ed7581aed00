"""How exact the mathematics has to be, in one place."""

EXACT = 1e-12  # against another implementation of the same formula in float64, relative
AUTOMATIC = 1e-10  # a gradient against automatic differentiation in float64, relative difference
AUTOMATIC_HESSIAN = 1e-9  # a Hessian-vector product against automatic differentiation, relative difference
GRADIENT = 1e-8  # against central differences in float64, relative difference
HESSIAN = 1e-6  # a Hessian-vector product against central differences of the gradient, relative difference
ORACLE = 1e-9  # against figures that another program reports, relative
FLOAT32 = 1e-4  # gradients, and rows that are passed on, in float32 arithmetic against float64, relative
FLOAT32_COST = 1e-6  # J, its terms, mean activations and metrics of float32 rows against float64, relative
