"""How exact the mathematics has to be, in one place."""

EXACT = 1e-12  # against another implementation of the same formula in float64, relative
GRADIENT = 1e-8  # against central differences in float64, relative difference
ORACLE = 1e-9  # against figures that another program reports, relative
FLOAT32 = 1e-4  # float32 arithmetic against float64, relative
