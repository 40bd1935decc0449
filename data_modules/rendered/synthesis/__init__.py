"""Music and dance made by the project itself: arranger, renderer, dancer."""
