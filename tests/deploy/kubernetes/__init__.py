"""What deploy/kubernetes renders, judged by the schemas of Kubernetes and its operators, and by our own rules."""
