"""How good is each stage? Datasets, measures, comparisons."""
