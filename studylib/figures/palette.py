"""One name, colour and marker for each arm, and what all figures share.

Colours are Okabe and Ito's and Tol's muted set, distinct under the common colour blindnesses; markers
and dashes say the same thing a second time.
"""

import textwrap
import zlib

import plotly.graph_objects as go

ARMS = {  # name, colour, marker
    "base": ("Base", "#5a5a5a", "x"),
    "base_a": ("Base, set A", "#c4c4c4", "asterisk"),
    "base_instructed": ("Base + instruction", "#9a9a9a", "cross"),
    "base_prompted": ("Base, best prompt", "#111111", "diamond-wide"),
    "sft_rambling": ("SFT (rambling)", "#cc6677", "triangle-down"),
    "sft_careful": ("SFT (careful)", "#882255", "square"),
    "sft_eureka": ("SFT (Eureka-Distill)", "#d55e00", "circle"),
    "rl": ("RL", "#0072b2", "diamond"),
    "rl_beta0": ("RL (beta 0)", "#56b4e9", "triangle-left"),
    "rl_no_easy": ("RL (no easy)", "#332288", "triangle-right"),
    "two_stage": ("Two-stage", "#e69f00", "triangle-up"),
    "two_stage_half": ("Two-stage (half budget)", "#77b259", "star-triangle-up"),
    "two_stage_quarter": ("Two-stage (quarter budget)", "#402000", "star-triangle-down"),
    "interleaved": ("Interleaved", "#44aa99", "pentagon"),
    "interleaved_all": ("Interleaved (SFT on all)", "#7441d9", "star-square"),
    "progressive": ("Progressive", "#117733", "hexagon"),
    "data_mixing": ("Data mixing", "#cc79a7", "star"),
    "merging": ("Model merging", "#8b5a2b", "bowtie"),
}
# For an arm that a reader adds in params/: always the same one, by its name.
SPARE_COLOURS = ("#999933", "#aa4499", "#661100", "#6699cc", "#ddaa33")
# Levels from easy to hard, light to dark, so that they read in grey too.
LEVEL_COLOURS = {"L1": "#c6dbef", "L2": "#9ecae1", "L3": "#6baed6", "L4": "#3182bd", "L5": "#08519c"}
INK, FAINT = "#333333", "#8a8a8a"
TEXT, SMALL = 12, 11  # px; the least that can be read on a phone
LINE = 46  # letters of a title that a phone has room for


def name_of(arm: str) -> str:
    return ARMS[arm][0] if arm in ARMS else arm.replace("_", " ")


def colour_of(arm: str) -> str:
    return ARMS[arm][1] if arm in ARMS else SPARE_COLOURS[zlib.crc32(arm.encode()) % len(SPARE_COLOURS)]


def marker_of(arm: str) -> str:
    return ARMS[arm][2] if arm in ARMS else "hourglass"


def in_order(arms: list[str]) -> list[str]:
    """Arms in the order of the palette, those that it does not know at the end by name."""
    known = list(ARMS)
    return sorted(arms, key=lambda arm: (known.index(arm) if arm in known else len(known), arm))


def error_bars(table, colour: str, axis: str = "y") -> dict[str, dict]:
    """Interval of each row (columns estimate, low, high) as plotly's error bars on that axis."""
    bars = {
        "type": "data",
        "symmetric": False,
        "array": (table["high"] - table["estimate"]).tolist(),
        "arrayminus": (table["estimate"] - table["low"]).tolist(),
        "color": colour,
        "thickness": 1.2,
        "width": 2,
    }
    return {f"error_{axis}": bars}


def arm_line(cells, arm: str, x, size: int = 7, decimals: int = 2) -> go.Scatter:
    """An arm's estimates with their intervals over `x`, in its colour and with its marker."""
    return go.Scatter(
        x=x,
        y=cells["estimate"].round(decimals),
        name=name_of(arm),
        mode="lines+markers",
        line={"color": colour_of(arm), "width": 1.5},
        marker={"symbol": marker_of(arm), "size": size, "color": colour_of(arm)},
        legendgroup=arm,
        **error_bars(cells, colour_of(arm)),
    )


def log_ticks(axes) -> None:
    """A log axis with its ticks written out: plotly writes 20 as 2. axes: fig.update_xaxes or _yaxes."""
    values = [digit * 10**power for power in range(-1, 5) for digit in (1, 2, 5)]
    axes(type="log", tickvals=values, ticktext=[f"{value:g}" for value in values])


def dress(fig: go.Figure, title: str, height: int, panels: int = 0) -> go.Figure:
    """Title, place of the stamp, legend and margins. The width is left free: from a phone's 380 px to a page.

    panels: lines of the titles of panels, 0 where there are none.
    """
    fig.update_layout(
        template="simple_white",
        title={"text": title, "x": 0, "xref": "paper", "y": 1, "yref": "container", "yanchor": "top"},
        title_pad={"t": 10},
        title_font_size=14,
        font={"size": TEXT, "color": INK},
        height=height,
        margin={"l": 48, "r": 12, "t": 46 + 18 * panels, "b": 36},
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom", "font_size": TEXT},
        hoverlabel={"font_size": 12},
    )
    fig.update_annotations(font_size=12)
    for axes in (fig.update_xaxes, fig.update_yaxes):
        axes(title_font_size=TEXT, tickfont_size=TEXT)
    fig.add_annotation(
        text="",
        name="stamp",
        x=1,
        y=1,
        xref="paper",
        yref="paper",
        xanchor="right",
        yanchor="bottom",
        yshift=3 + 17 * panels,
        showarrow=False,
        font={"size": SMALL, "color": FAINT},
    )
    return fig


def with_title(fig: go.Figure, finding: str) -> go.Figure:
    """The figure with what it shows as its title, in lines that fit a phone; as it is without a finding."""
    if not finding:
        return fig
    lines = textwrap.wrap(finding.replace(" %", "\u00a0%"), LINE)  # a number and its unit stay on one line
    more = 18 * (len(lines) - 1)
    room = {"margin_t": fig.layout.margin.t + more, "height": fig.layout.height + more}
    if more:  # plotly sets the first of several lines ten pixels higher than a single one
        room["title_pad_t"] = fig.layout.title.pad.t + 10
    return fig.update_layout(title_text="<br>".join(lines), **room)


def with_stamp(fig: go.Figure, stamp: str) -> go.Figure:
    """The figure, saying which scale, seed and plan its numbers come from, or which paper."""
    return fig.update_annotations(text=stamp, selector={"name": "stamp"})
