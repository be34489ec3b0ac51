using System.Text;
using DtoKd.Cli;

Console.OutputEncoding = new UTF8Encoding(false);
Console.SetOut(StandardStream.Output(Console.OpenStandardOutput()));
Console.SetError(StandardStream.Error(Console.OpenStandardError()));
using var stop = new StopRequest();
stop.ListenToSignals();
return Application.Run(args, new Host(Console.Out, Console.Error, stop, IsTerminal: !Console.IsOutputRedirected));
