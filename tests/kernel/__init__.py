"""The exact words of the business."""
