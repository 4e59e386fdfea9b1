"""Other people's engines, each made to run the same shapes the way its own documentation would.

Every form of a shape returns something that shows it ran whole, and the caller checks that before it takes the time.
"""
