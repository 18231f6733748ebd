"""What all four services stand on: meaning (kernel), the published language (events), wiring (kit)."""
