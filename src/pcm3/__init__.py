"""pcm3: representations of human motion from unlabelled 3D skeletons. Importing this is light; torch comes later."""

__version__ = "0.1.0"
