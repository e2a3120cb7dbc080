"""The whole service under a steady load and a random schedule of violence, against books kept by its clients."""
