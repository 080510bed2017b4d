"""The landscape itself: curvature, critical points, regions and basins of attraction."""
