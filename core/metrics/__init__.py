"""How near a made video comes to the one it should be: pictures, features of networks, faces and keypoints."""
