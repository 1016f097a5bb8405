"""What a running program tells about its calls: log lines, dumps of HTTP. A sink takes events and changes nothing."""
