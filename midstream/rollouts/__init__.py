"""What Kubernetes and Argo Rollouts did, read through the API."""
