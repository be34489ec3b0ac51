"use strict";
const charts = JSON.parse(document.getElementById("charts").textContent);
const ink = "#1b1f24", soft = "#59636e", rule = "#e6e9ed";

function layoutOf(chart) {
  const axis = { gridcolor: rule, linecolor: "#c4cad1", zeroline: false, automargin: true, tickfont: { color: soft } };
  const layout = {
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink },
    margin: { l: 8, r: 12, t: 8, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    showlegend: false, hovermode: "x unified", hoverlabel: { namelength: -1 }, dragmode: "zoom",
    xaxis: { ...axis, title: { text: chart.x, standoff: 6, font: { color: soft } }, showline: true, nticks: 8 },
    yaxis: { ...axis, ticksuffix: chart.unit, hoverformat: chart.unit ? ".2f" : ".4g" },
    shapes: [],
  };
  // Few epochs: a tick for each, or Plotly puts some between two epochs.
  if (chart.x === "epoch" && chart.traces.every(trace => trace.x.at(-1) <= 12)) layout.xaxis.dtick = 1;
  if (chart.log) Object.assign(layout.yaxis, { type: "log", tickformat: "~g", nticks: 7 });
  if (chart.range) layout.yaxis.range = chart.range;
  if (chart.reference !== undefined) {
    layout.shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: chart.reference, y1: chart.reference,
      line: { color: soft, width: 1, dash: "dash" } });
  }
  return layout;
}

for (const chart of charts) {
  Plotly.newPlot(chart.id, chart.traces, layoutOf(chart), { responsive: true, displaylogo: false, displayModeBar: false });
}

for (const button of document.querySelectorAll(".key button")) {
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") === "false";
    button.setAttribute("aria-pressed", String(shown));
    for (const chart of charts) {
      const lines = chart.traces.flatMap((trace, i) => trace.meta === Number(button.dataset.run) ? [i] : []);
      if (lines.length > 0) Plotly.restyle(chart.id, { visible: shown }, lines);
    }
  });
}
