"""What the app is made of besides itself: its licences, its known holes, its list of parts."""
