"""The page: plain JavaScript, vendored uPlot, no outside request."""
