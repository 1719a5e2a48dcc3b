using Xunit;

// Tests of threads, allocation and speed want the machine to themselves.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
