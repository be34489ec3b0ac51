using BenchmarkDotNet.Running;

BenchmarkSwitcher.FromAssembly(typeof(DtoKd.Benchmarks.Operations).Assembly).Run(args);
