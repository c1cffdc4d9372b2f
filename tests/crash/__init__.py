"""Kill -9 on the append path, many times: nothing acknowledged is ever lost, nothing is stored by half or twice."""
