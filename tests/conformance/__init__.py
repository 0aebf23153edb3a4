"""What all parts of one kind promise, as classes that the tests of each part subclass."""
