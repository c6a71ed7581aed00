"""What tells filters apart, in numbers."""

import numpy as np
from scipy.ndimage import gaussian_filter

__all__ = ["area", "coherence", "stroke_width"]


def stroke_width(filters, image_shape):
    """Return π √(Σ w² / Σ ‖∇w‖²) of each filter w, in pixels.

    For stripes, w = cos kx, this is π / k, the width of a stripe. Beyond the border the filter is 0.
    """
    images = np.pad(filters.reshape(-1, *image_shape), ((0, 0), (1, 1), (1, 1)))
    slope = sum(np.sum(np.diff(images, axis=axis) ** 2, axis=(1, 2)) for axis in (1, 2))
    return np.pi * np.sqrt(np.sum(filters**2, axis=1) / slope)


def area(filters):
    """Return (Σ w²)² / Σ w⁴ of each filter w: n, where |w| is the same in n pixels and 0 in the others."""
    return np.sum(filters**2, axis=1) ** 2 / np.sum(filters**4, axis=1)


def coherence(filters, image_shape, scale=2.0):
    """Return how far the slopes of each filter run along one line, pixel by pixel: 1 for a stroke, 0 for a round dot.

    With the structure tensor T of the slopes around a pixel, under a Gaussian window of so many pixels, and its
    eigenvalues λ₁ ≥ λ₂, this is Σ (λ₁ − λ₂) / Σ (λ₁ + λ₂) over pixels (after Förstner and Gülch, 1987).
    """
    down, right = np.gradient(filters.reshape(-1, *image_shape), axis=(1, 2))
    products = (right * right, down * down, right * down)
    xx, yy, xy = (gaussian_filter(product, (0, scale, scale)) for product in products)
    return np.sum(np.sqrt((xx - yy) ** 2 + 4 * xy**2), axis=(1, 2)) / np.sum(xx + yy, axis=(1, 2))
