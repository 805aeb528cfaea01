"""Rule packs, one standard a file: limits and averaging as dated, cited data with examples."""
