-- ARGV: run, after.
return read(ARGV[1], ARGV[2])
