"""Token services side by side: `watchword serve`, and peers as their documentation has them."""
