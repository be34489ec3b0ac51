using System.Text;
using DtoKd.Cli;

Console.OutputEncoding = new UTF8Encoding(false);
using var stop = new StopRequest();
stop.ListenToSignals();
return Application.Run(args, new Host(Console.Out, Console.Error, stop, IsTerminal: !Console.IsOutputRedirected));
