using System.Reflection;

namespace DtoKd.Training.Tests;

public class ReferenceTests
{
    [Fact]
    public void References_run_from_the_program_to_the_engine_only()
    {
        string[] houses = ["DtoKd.Engine", "DtoKd.Models", "DtoKd.Training", "dtokd"];
        for (int i = 0; i < houses.Length; i++)
        {
            var own = Assembly.Load(houses[i]).GetReferencedAssemblies().Select(name => name.Name).Where(houses.Contains);
            Assert.Empty(own.Except(houses[..i]));
        }
    }

    [Fact]
    public void The_engine_needs_nothing_but_the_framework_its_tensor_primitives_and_ILGPU()
    {
        var foreign = Assembly.Load("DtoKd.Engine").GetReferencedAssemblies()
            .Select(name => name.Name!).Where(name => !name.StartsWith("System.", StringComparison.Ordinal));
        Assert.Equal(["ILGPU"], foreign);
    }
}
