module nuthatch

go 1.19
