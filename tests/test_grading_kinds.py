"""Kinds of fault that other people's bug reports and real files found: each with answers that must be accepted
and answers that must stay refused."""

import pytest

from studylib.grading import grade

FREE = {"question": "", "question_type": "free_form", "choices": [], "answer_type": "text"}
CHOICE = FREE | {"question_type": "multi_choice", "answer_type": "letter"}
NEWTONS = ["2 N", "4 N", "6 N", "8 N"]


def right(answer: str, response: str, **fields: object) -> bool:
    return grade(FREE | {"answer": answer} | fields, response).outcome == "correct"


def takes(choices: list[str], answer: str, response: str, **fields: object) -> bool:
    return grade(CHOICE | {"choices": choices, "answer": answer} | fields, response).outcome == "correct"


def boxed(answer: str) -> str:
    return f"<think> Let me see. </think> So \\boxed{{{answer}}}"


# gold, answers in a box that are right, answers in a box that are wrong
EQUAL = {
    "words in the box": [
        ("31", [r"\text{The final answer is }31", r"\text{Answer: } 31", r"\text{Final result: }31", r"\text{It is } 31",
                r"\text{The area is } 31 \text{ cm}^2", r"\text{The value of } y \text{ is } 31", r"x = 31",
                r"\text{Solution: } x = 31", "答案是31", r"\textbf{Answer: 31}"],
         [r"\text{The answer is } 13", r"\text{either 31 or 13}", r"\text{The answer is not } 31", r"\text{31 or 30}"]),
        (r"\frac{1}{2}", [r"\text{The answer is } \frac{1}{2}", r"\text{Probability: } 0.5"], [r"\text{The answer is } 2"]),
        ("rhombus", [r"\text{The shape is a rhombus}", r"\text{It is a rhombus.}"], [r"\text{It is not a rhombus}"]),
    ],
    "degrees": [
        (g, ["25", "25°", r"25^\circ", r"25^{\circ}", r"25{}^\circ", r"25\text{ degrees}", r"25\degree"], ["26", r"205^\circ", "25.5"])
        for g in ("$25{}^\\circ $", "25${}^\\circ $", "${{25}^{\\circ }}$", "$25{}^{\\circ}$", "25°", "25$textdegree$", "25{degrees}",
                  "$25{{}^\\circ}$", "$$25^{\\circ}$$", "25 degrees")
    ] + [
        ("20°30′", [r"20.5^\circ", r"20^\circ 30'", "20.5", r"20^{\circ}30^{\prime}"], ["20.3", r"20^\circ"]),
        ("15°15′", ["15.25°"], ["15.15°"]), (r"$30{}^\circ {30}'$", [r"30.5^\circ"], [r"30^\circ"]),
        ("5'6\"", ["66 inches", "5 feet 6 inches"], ["56 inches"]),
    ],
    "one-letter units": [
        ("9 s", ["9", "9 s", r"9\text{ s}"], ["8", "9 min"]), ("4286m", ["4286", "4286 m"], ["4287"]), ("40m.", ["40"], ["4"]),
        ("3.8 m", ["3.8", "380 cm"], ["3.8 cm", "38"]), ("6 V", ["6"], ["5"]), ("100 W", ["100"], ["10"]), ("7 L", ["7"], ["6"]),
        ("5 g", ["5"], ["5 kg"]), ("10 J", ["10"], ["11"]), ("2.5 h", ["2.5", "150 min"], ["25"]),
        ("4t", ["4t"], ["4"]), ("3x", ["3x"], ["3"]), ("2n+1.", ["2n+1", "1+2n"], ["2n", "3"]), ("7y", ["7y"], ["7"]), ("4", ["4"], ["4x", "4!"]),
    ],
    "compound units": [
        ("72 km/h", ["72", "20 m/s", r"72\ \text{km/h}", r"72\text{ km per hour}", "72 kilometers per hour"], [r"72\ \text{m/s}", "20 km/h"]),
        ("5 cm^2", [r"5\text{ cm}^2", "5", "5 cm²", "5 square centimeters"], ["5 m^2", r"5\text{ cm}", "5 mm^2"]),
        ("2 m^2", ["20000 cm^2"], ["200 cm^2"]), ("1.5 kg/m^3", ["0.0015 g/cm^3"], ["1.5 g/cm^3"]), ("3 kW", ["3000 W"], ["3 MW", "3 mW"]),
        ("9.8 m/s^2", ["9.8", r"9.8\ \mathrm{m/s^2}", r"9.8 \text{ m s}^{-2}"], ["9.8 m/s"]), ("5 apples", ["5"], ["6 apples"]),
        ("2 L", ["2000 mL", r"2000\text{ cm}^3"], ["2 mL"]), ("60 mph", ["60 miles per hour"], ["60 km/h"]),
    ],
    "several parts": [
        ("(1)7;(2)12", ["7; 12", "7, 12", "(1) 7; (2) 12", "(1) 7, (2) 12", r"7 \text{ and } 12", "7}, \\boxed{12"], ["12, 7", "7", "12", "7, 13", "7, 12, 1"]),
        ("-4\n0.75", ["-4, 0.75", r"-4 \text{ and } 0.75", "-4; 0.75", r"-4, \frac{3}{4}"], ["0.75, -4", "-4", "0.75"]),
        ("(1)$$-5$$ (2)$$\\dfrac{2}{3}$$", [r"-5, \frac{2}{3}", r"(1)\ -5 \quad (2)\ \frac{2}{3}"], [r"5, \frac{2}{3}", r"\frac23"]),
        ("50°; 60°; 70°.", [r"50^\circ, 60^\circ, 70^\circ", "50, 60, 70"], ["50, 70, 60", "50, 60"]),
        ("1.2.3.", ["1, 2, 3"], ["1, 2"]), ("①③", ["①, ③", "1, 3", "①③", r"\text{① and ③}"], ["①", "①②", "1, 2, 3"]),
        ("(1)3;(2)3, square;(3)equal", ["3; 3, square; equal", r"3, 3, \text{square}, \text{equal}"], ["3; 3, circle; equal"]),
        ("①4 ②5", ["4, 5", "4; 5"], ["5, 4"]), ("domain: [-3,3] and range: [0,4]",
         [r"\text{domain } [-3,3], \text{ range } [0,4]", r"\text{Domain: } [-3,3]; \text{Range: } [0,4]"], [r"\text{domain } [0,4], \text{ range } [-3,3]"]),
        ("x=2, y=5", ["x=2, y=5", "y=5, x=2", r"x=2 \text{ and } y=5"], ["x=5, y=2", "x=2"]),
    ],
    "worked solutions": [
        ("∵AB=AC, AD=AE ∴BD=CE=9cm. Therefore, fill in 9.", ["9", "9 cm"], ["8"]),
        ("The frequency is 45/150 = 0.3. Therefore the number of students is about 1,000 * 0.3 = 300; Thus, it is 300.", ["300"], ["0.3", "1000"]),
        ("Let the radius be r, then 36π = πr$^{2}$×4, we find r = 3. Therefore, the length is 6, so it is 6.", ["6"], ["3"]),
        ("∵ a > 0, the expression = 1 - 1 - 1 = -1. Hence, the value is -1.", ["-1"], ["1"]),
        ("因为AB=AC，所以角B=角C=40°，故答案为：100°", ["100", r"100^\circ"], ["40"]),
        ("Since the sum is 12, the mean is 12/4. Thus the answer is $\\frac{12}{4}=3$.", ["3"], ["12"]),
    ],
    "eaten backslashes": [
        ("\x0crac{5}{8}", [r"\frac{5}{8}", "0.625"], [r"\frac{8}{5}"]), ("2\\sqrt{3}+\x0crac{1}{2}", [r"\frac{1}{2}+2\sqrt{3}"], ["2"]),
        ("\x08eta", [r"\beta"], [r"\alpha"]), ("3\times 4", ["12"], ["34"]), ("2\theta", [r"2\theta"], ["2"]),
    ],
    "units in braces": [
        (r"\frac{5}{6}\pi{inches}", [r"\frac{5\pi}{6}", r"\frac{5}{6}\pi\text{ inches}"], [r"\frac{5}{6}"]), ("58{degrees}", ["58", r"58^\circ"], ["5.8"]),
        (r"9\sqrt{3}{squareinches}", [r"9\sqrt{3}", r"9\sqrt{3}\text{ square inches}"], ["9"]), ("12{feet}", ["12"], ["1"]),
    ],
    "lists": [
        ("2,7", ["7,2", "2, 7", r"2 \text{ and } 7", r"\{2, 7\}"], ["2, 8", "2", "7"]), ("8,3", ["3,8"], ["8,4"]),
        ("[0, 3, 0, 1, 4]", ["0, 3, 0, 1, 4", "[0,3,0,1,4]"], ["0, 3, 1, 4", "3, 0, 0, 1, 4", "0, 3, 1, 1, 4"]),
        ("1, 2, 2", ["2, 1, 2"], ["1, 2", "1, 1, 2"]), ("120,240", ["240,120", "120, 240"], ["120,250"]),
        ("1,200, 3", ["1200, 3", "3, 1,200"], ["1200, 4"]), ("(1,2)", ["(1, 2)"], ["(2,1)", r"\{1,2\}"]),
        ("red, blue", [r"\text{blue and red}"], ["red"]),
    ],
    "small and near numbers": [
        (r"\frac{1}{1500!}", [r"\frac{1}{1500!}"], [r"\frac{1}{1501!}"]), (r"\frac{1}{2^{80}}", [r"2^{-80}"], [r"\frac{1}{2^{79}}"]),
        (r"\frac{2^{800}+1}{3\cdot 2^{801}}", [r"\frac{1}{6}+\frac{1}{3\cdot 2^{801}}"], [r"\frac{1}{3\cdot 2^{801}}", r"\frac{1}{6}"]),
        (r"\frac{3^{1008}-1}{3^{1009}}", [], [r"\frac{1}{3}"]), (r"3 \times 10^{-9}", [r"0.3\times 10^{-8}"], [r"2\times 10^{-9}"]),
        (r"10^{-8}\pi", [r"\frac{\pi}{10^8}"], [r"2\cdot 10^{-8}\pi"]), (r"\sqrt{2}", ["1.414"], ["1.41", "1.415"]),
    ],
    "recurring decimals": [
        (r"\frac{5}{11}", [r"0.\overline{45}", r"0.4545\ldots", r"0.\dot{4}\dot{5}", "0.(45)"], [r"0.\overline{54}", "0.45"]),
        (r"\frac{1}{3}", [r"0.333\ldots", "0.333...", r"0.\dot{3}", r"0.\overline{3}", r"0.\bar{3}", "0.333…"], ["0.3", r"0.\overline{6}"]),
        (r"\frac{1}{6}", [r"0.1\overline{6}", r"0.1666\dots", r"0.1\dot6"], [r"0.\overline{16}"]), (r"0.\overline{6}", [r"\frac{2}{3}"], ["0.6"]),
        (r"2\frac{1}{3}", [r"2.\overline{3}"], [r"2.3"]), (r"-\frac{1}{9}", [r"-0.\overline{1}"], [r"0.\overline{1}"]),
    ],
    "mathematics in Unicode": [
        ("0.01", ["10⁻²", "10^{-2}"], ["10⁻³", "10²"]), ("$\\sqrt{3}$π+2$\\sqrt{3}$", [r"\sqrt{3}\pi+2\sqrt{3}", "√3π+2√3"], [r"\sqrt{3}\pi"]),
        ("$\\frac{4}{5}$π.", [r"\frac{4}{5}\pi", "4π/5", r"\frac{4\pi}{5}", "0.8π"], [r"\frac{4}{5}"]), (r"\frac{\sqrt{5}}{2}", ["√5/2", "√(5)/2", "sqrt(5)/2"], ["5/2"]),
        ("7√3", [r"7\sqrt{3}", "7sqrt(3)"], [r"3\sqrt{7}"]), ("4pi", [r"4\pi", "4π"], ["4"]), ("x²+1", ["x^2+1", "1+x^{2}"], ["x+1"]), ("−5", ["-5"], ["5"]),
        ("½", [r"\frac12", "0.5"], ["2"]), ("2×10³", ["2000"], ["200"]), ("∛2", [r"\sqrt[3]{2}"], [r"\sqrt{2}"]), ("x ≥ 3", [r"x \geq 3", r"[3,\infty)"], ["x > 3"]),
    ],
    "intervals": [
        (r"(2, \infty)", [r"]2, \infty[", "x>2", r"(2, +\infty)", r"x \in (2,\infty)", r"\{x \mid x > 2\}", "2 < x"], [r"[2, \infty)", r"x \geq 2", "x<2", r"(-\infty, 2)"]),
        ("x < −3 or 0 < x < 2.", [r"(-\infty,-3)\cup(0,2)", r"(0,2)\cup(-\infty,-3)", r"x<-3 \text{ or } 0<x<2"], [r"(-\infty,-3)", r"(-\infty,-3]\cup(0,2)"]),
        (r"(-\infty, 2] \cup [3, \infty)", [r"x \leq 2 \text{ or } x \geq 3", r"]-\infty,2]\cup[3,+\infty["], [r"x < 2 \text{ or } x > 3"]),
        ("[1, 4)", [r"1 \leq x < 4", r"4 > x \geq 1", r"x \geq 1 \text{ and } x < 4", "[1,4["], ["1 < x < 4", r"1 \leq x \leq 4", "[1,4]"]),
        (r"x \neq 3", [r"(-\infty,3)\cup(3,\infty)", r"x \ne 3"], ["x = 3", "3"]), (r"$$i\leqslant 10?$$", [r"i \leq 10", r"i \le 10?"], ["i < 10"]), ("K<10?", ["K<10", "10>K"], ["K>10"]),
    ],
    "relations either way round": [
        ("AC=BD", ["BD=AC", "AC = BD", "CA=DB", r"AC=BD"], ["AC=BC", "AB=CD"]), ("$PQ\\perp RS$", [r"RS \perp PQ", "RS⊥PQ"], [r"RS \parallel PQ", r"PQ \perp RT"]),
        (r"AB \parallel CD", ["CD ∥ AB", "CD//AB".replace("//", r"\parallel ")], [r"AB \parallel CE"]), (r"\angle A=\angle D", [r"\angle D = \angle A"], [r"\angle A=\angle B"]),
        (r"\sqrt{2/n}", [r"\frac{\sqrt{2}}{\sqrt{n}}"], [r"\frac{2}{\sqrt n}"]), (r"\sqrt{1/n}", [r"\frac{1}{\sqrt{n}}", r"n^{-1/2}"], [r"\sqrt{n}"]), ("|x|", [r"\sqrt{x^2}"], ["x"]),
        (r"\hat {y}=10.5-1.5x", [r"\hat{y} = -1.5x + 10.5", "y=10.5-1.5x"], [r"\hat{y}=10.5+1.5x"]), ("y=2x+1", ["2x+1", "y = 1+2x"], ["y=2x-1"]),
    ],
    "ratios": [
        ("5:2", [r"5 \text{ to } 2", "10:4", "5 : 2", r"\frac{5}{2}", "5∶2"], ["2:5", "5:3"]), ("1:2:3", ["2:4:6", r"1 : 2 : 3"], ["3:2:1", "1:2", "1:2:4"]),
        ("3:4", [r"3 \text{ to } 4", "0.75"], ["4:3"]),
    ],
    "articles and plurals": [
        ("triangle", [r"\text{triangles}", r"\text{a triangle}", "Triangle"], ["rectangle"]), ("rhombus.", [r"\text{a rhombus}", "Rhombus"], ["square"]),
        ("the rectangle", [r"\text{rectangle}"], [r"\text{rectangular prism}"]), ("boxes", ["box"], ["fox"]), (r"\emptyset", [r"\varnothing", "∅"], ["0"]),
    ],
    "one object in two notations": [
        (r"\begin{cases}x=2\\y=5\end{cases}", ["x=2, y=5", "y=5, x=2", r"x = 2 \text{ and } y = 5"], ["x=5, y=2"]), ("(3,-1)", [r"\begin{pmatrix}3\\-1\end{pmatrix}", r"\begin{bmatrix}3 & -1\end{bmatrix}"], [r"\begin{pmatrix}-1\\3\end{pmatrix}"]),
        ("x_1=4, x_2=-1", [r"x=4 \text{ or } x=-1", "-1, 4", "4, -1", "x_1=-1, x_2=4", r"x_{1}=4,\ x_{2}=-1"], ["4, 1", "x=4"]),
        (r"\begin{pmatrix}1\\2\\3\end{pmatrix}", ["(1,2,3)", r"\begin{bmatrix}1\\2\\3\end{bmatrix}"], ["(3,2,1)"]),
    ],
    "alternatives": [
        ("$$AB=CD$$ (not unique)", ["AB=CD", "CD=AB"], ["AB=CE"]), (r"$$\angle A=\angle D$$ or $$\angle B=\angle E$$", [r"\angle A=\angle D", r"\angle B=\angle E", r"\angle E=\angle B"], [r"\angle C=\angle F"]),
        ("$$2.2$$ (not unique, any value close to it is acceptable)", ["2.2"], ["3"]), ("x=2 or x=-3", ["x=-3, x=2", "2, -3"], ["x=2", "-3"]), ("AC=BD（答案不唯一）", ["BD=AC"], ["AC=BC"]),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("gold", "accepted", "refused"),
    [pytest.param(*row, id=f"{kind}: {row[0]!r}") for kind, rows in EQUAL.items() for row in rows],
)
def test_an_answer_in_a_box_is_right_in_any_notation_and_wrong_in_none(gold, accepted, refused):
    assert [answer for answer in accepted if not right(gold, boxed(answer))] == []
    assert [answer for answer in refused if right(gold, boxed(answer))] == []


# gold, responses that are right, responses that are wrong
STATED = {
    "a remark after the box": [
        ("15", ["\\boxed{15}\n\nThe value of the height was 3 and that of the base 10.", "\\boxed{15}\n\nCheck: the result of 8 + 5 is 13.",
                "Therefore \\boxed{15}.\n\nIf we had used 3 instead, the result would be 6.", "\\boxed{15}\n\nNote: in centimeters the value is 1500.",
                "\\boxed{15}\n\nThe solution is unique, because the slope is 2.", "The answer is 4? No: \\boxed{15}. The answer fits."],
         ["\\boxed{7}\n\nThe answer is reasonable because it is near 15.", "\\boxed{7}. The answer is 15 if you forget a 2.", "\\boxed{15} No, \\boxed{7}."]),
    ],
    "forms of the box": [
        ("64", [r"\framebox{64}", r"The result: \boxed{}. Therefore 64.", r"\fbox{64}", r"\boxed {64}", r"\framebox[2cm]{64}", r"\boxed{\boxed{64}}", r"$\boxed{{64}}$", r"\boxed 64",
                r"\boxed{64} and \boxed{}"], [r"\framebox{46}", r"The result: \boxed{}. Therefore 46.", r"\boxed{}"]),
        ("5", [r"\boxed5"], [r"\boxed6"]),
    ],
    "an intermediate value": [
        ("11", ["The value of a is 4. The value of b is 7. Therefore, a + b = 11.", "The result is 4 for the left part and 7 for the right part. Hence 11 in total.",
                "The answer is 7. Wait, that is wrong. It should be 11.", "The answer is 4? No wait. Recounting: 11.", "Is the answer is 4? No. So x = 11.",
                "She has 20 apples and gives 9 away, so she has 11 apples left.", "He had 13 stamps and lost 2, thus he has 11 stamps.", "The value of angle B is 79 degrees. Therefore angle C = 90 - 79 = 11 degrees.",
                "The answer is 11. Wait, let me check: 4 + 7 = 11. Yes, that is right.", "The value of x is 4. Thus the answer is 11.", "The answer is 11. The value of a was 4.",
                "The answer is 7. That is incorrect. The answer is 11.", "a的值是4，b的值是7，所以a+b=11。"],
         ["The answer is 11. Wait, that is wrong. It should be 7.", "The value of a is 11. The value of b is 7. Therefore, a + b = 18.", "He had 11 stamps and gives 2 away, so he has 9 stamps left."]),
    ],
    "a second turn": [
        ("12", ["The answer is 12.\nuser\nNext question\nassistant\nThe answer is 30.", "The answer is 12.\n\nHuman: next?\n\nAssistant: The answer is 20.", "\\boxed{12}\nUser: And now?\nAssistant: \\boxed{3}",
                "The answer is 12.<|im_end|>\n<|im_start|>user\nAnother<|im_end|>\n<|im_start|>assistant\nThe answer is 9.", "<think> a </think> \\boxed{12}\nHuman: next\nAssistant: <think> b </think> \\boxed{9}",
                "The answer is 12. Human: What about 3?", "答案是12。\n用户：下一题\n助手：答案是30。", "The answer is 12.\n\n### Instruction:\nThe answer is 5."],
         ["The answer is 30.\nuser\nNext question\nassistant\nThe answer is 12."]),
    ],
    "several words": [
        ("domain: [-3,3] and range: [0,4]", ["The domain is [-3, 3] and the range is [0, 4]."], ["The domain is [0, 4] and the range is [-3, 3].", "The domain is [-3, 3]."]),
        ("N 25° E", ["The bearing is N 25° E.", "\\boxed{N 25^\\circ E}", "N 25° E", "The answer is N 25° E."], ["The bearing is N 25° W.", "The bearing is 25°.", "The bearing is S 25° E."]),
        ("pentagon", ["It is a pentagon.", "The shape is a pentagon.", "The answer is pentagon.", "A pentagon"], ["It is a hexagon.", "It is not a pentagon.", "It is a pentagon or a hexagon."]),
        ("Paris", ["The capital shown is Paris."], ["The capital shown is Rome."]),
    ],
    "a letter as gold": [
        ("D", [boxed(r"\text{Option D}"), "The answer is (D) because it branches.", boxed("D"), boxed("(D)"), "The answer is D.", boxed(r"\text{D. the last}"), "Option D", "答案是D", boxed(r"\textbf{(D)}")],
         [boxed(r"\text{Option C}"), "The answer is (C) because of D.", boxed("d"), "The answer is a D or C.", boxed("C, D")]),
    ],
    "Chinese statements": [
        ("25", ["【答案】25", "答案是25", "答案：25", "答案为 25。", "正确答案是25。", "所以答案是25", "【答案】\\(25\\)", "故答案为：25"], ["【答案】52", "答案不是25"]),
    ],
    "parts boxed apart": [
        ("(1)7;(2)12", ["(1) \\boxed{7}; (2) \\boxed{12}", "(1) We get \\boxed{7}.\n\n(2) By the first part and a long calculation that needs many words we get \\boxed{12}.", "(1) 7 (2) 12"],
         ["(1) \\boxed{12}; (2) \\boxed{7}", "(1) \\boxed{7}", "\\boxed{7} or \\boxed{5} or \\boxed{12}"]),
        ("-4\n0.75", ["(1) \\boxed{-4} (2) \\boxed{0.75}"], ["(1) \\boxed{0.75} (2) \\boxed{-4}"]), ("(1)3;(2)3", ["(1) \\boxed{3} (2) \\boxed{3}"], ["\\boxed{3}"]),
    ],
    "answers in JSON": [
        (r"\frac{1}{2}", [r'{"reasoning": "halves", "final_answer": "\\frac{1}{2}"}', '```json\n{"answer": 0.5}\n```'], ['{"answer": "2"}']),
        ("7", ['{"final_answer": 7}', '{"reasoning": "the answer is 3", "answer": "7"}'], ['{"answer": 8}']),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("gold", "accepted", "refused"),
    [pytest.param(*row, id=f"{kind}: {row[0]!r}") for kind, rows in STATED.items() for row in rows],
)
def test_the_statement_that_counts_is_read(gold, accepted, refused):
    assert [response for response in accepted if not right(gold, response)] == []
    assert [response for response in refused if right(gold, response)] == []


# choices, gold, responses that are right, responses that are wrong
CHOSEN = {
    "a remark after the box": [
        (NEWTONS, "D", ["\\boxed{D}\n\nThe value is 4 N for the other block.", "\\boxed{D} If you forget the angle, the answer is (A), a common mistake."], ["\\boxed{A}\n\nIf you add it, the answer is (D)."]),
        (NEWTONS, "C", [r"\boxed{\text{The answer is } C}", r"\boxed{\text{Option C}}", r"\boxed{\text{Answer: } (C)}", "We get \\boxed{3.29}, closest to option C."], [r"\boxed{\text{The answer is } B}"]),
    ],
    "options that differ": [
        ([".8", "8", ".08", "80"], "A", [r"\boxed{A}", r"\boxed{.8}", r"\boxed{0.8}"], [r"\boxed{B}", r"\boxed{8}"]),
        (["g(t)", "g'(t)", "g''(t)", "G(t)"], "B", [r"\boxed{B}", r"\boxed{g'(t)}", "The answer is g'(t)."], [r"\boxed{A}", r"\boxed{C}", r"\boxed{D}", r"\boxed{g''(t)}", r"\boxed{g(t)}"]),
        (["6!", "6", "12", "5!"], "A", [r"\boxed{A}", r"\boxed{6!}"], [r"\boxed{B}", r"\boxed{6}", r"\boxed{5!}"]), (["Rr", "RR", "rr", "rR"], "B", [r"\boxed{B}", r"\boxed{RR}"], [r"\boxed{C}", r"\boxed{rr}", r"\boxed{Rr}"]),
        (["(1, 2)", "{1, 2}", "[1, 2]", "1, 2"], "A", [r"\boxed{A}", r"\boxed{(1,2)}"], [r"\boxed{B}", r"\boxed{C}", r"\boxed{\{1, 2\}}"]), (["5 mW", "5 MW", "5 kW", "5 W"], "A", [r"\boxed{5\text{ mW}}"], [r"\boxed{B}", r"\boxed{5\text{ MW}}"]),
        (["s*", "s", "t*", "t"], "A", [r"\boxed{A}"], [r"\boxed{B}"]), (["O+", "O-", "o+", "AB"], "A", [r"\boxed{A}"], [r"\boxed{C}", r"\boxed{B}"]),
        (["Paris", "Rome"], "A", [r"\boxed{paris}", "It is Paris."], ["It is Rome."]), (["True", "False"], "A", [r"\boxed{A}", r"\boxed{true}", "True"], [r"\boxed{False}"]),
    ],
    "options gone through": [
        (["15", "20", "25", "30"], "B", ["A is incorrect. B is correct. C is incorrect. D is incorrect.", "A: no. B: yes. C: no. D: no.", "A ✗\nB ✓\nC ✗\nD ✗", "- A. 15 ❌\n- B. 20 ✅\n- C. 25 ❌\n- D. 30 ❌",
                                         "Option B is the correct choice; Option A ignores units.", "If the answer is A, the sum would be odd. Contradiction. Hence B.", "Hence B. (If the answer is D, the sum would be odd.)",
                                         "I would go with B.", "The computed 19.8 is closest to B.", "(A) is wrong. (B) is right. (C) is wrong.", "A) False\nB) True\nC) False", "The answer is A. Wait, that is wrong. It should be B.",
                                         "Suppose the answer is C; then 25 would be even. So the answer is B.", "Option A is wrong, option C is wrong, so B."],
         ["A is correct. B is incorrect.", "Hence A. (If the answer is B, the sum would be odd.)", "Option A is the correct choice; Option B ignores units.", "A is correct. B is correct.", "If the answer is B, the sum would be odd."]),
    ],
    "Chinese statements": [
        (["15", "20", "25", "30"], "B", ["A、C、D错误，只有B正确。", "【答案】B", "正确的是B选项。", "A、C错误，D也不对，只有B正确。", "答案是B", "故选B。", "本题选B", "应选B", "B选项正确", "所以选择B", "综上，正确答案为B。", "A错误；B正确；C错误；D错误。"],
         ["【答案】C", "A、B错误，D也不对，只有C正确。", "B错误，选C", "故选A"]),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("choices", "gold", "accepted", "refused"),
    [pytest.param(*row, id=f"{kind}: {row[0]}") for kind, rows in CHOSEN.items() for row in rows],
)
def test_the_option_that_a_response_takes_is_read(choices, gold, accepted, refused):
    assert [response for response in accepted if not takes(choices, gold, response)] == []
    assert [response for response in refused if takes(choices, gold, response)] == []


def test_a_question_for_the_false_statement_is_answered_by_the_one_called_false():
    question = "Which of these statements is incorrect?"
    said = "A is correct. B is incorrect. C is correct. D is correct."
    assert takes(["15", "20", "25", "30"], "B", said, question=question)
    assert not takes(["15", "20", "25", "30"], "A", said, question=question)


def test_letter_or_text_is_what_the_loader_says():
    letters = ["E", "A", "C", "D"]
    assert [takes(letters, "A", boxed(x)) for x in "ABCD"] == [True, False, False, False]
    assert [takes(letters, "A", boxed(x), answer_type="text") for x in "ABCD"] == [False, True, False, False]


def test_any_of_several_answers_will_do():
    both = {"answers": ["Tampa", "Florida"]}
    assert [right("Tampa", boxed(x), **both) for x in ("Tampa", "Florida", "Texas")] == [True, True, False]
    several = {"answers": ["A", "C"]}
    assert [takes(["1", "2", "3"], "A", boxed(x), **several) for x in "ABC"] == [True, False, True]


@pytest.mark.parametrize(
    ("response", "expected"),
    [(boxed("C, D"), True), (boxed("D, C"), True), (boxed("CD"), True), (boxed(r"C \text{ and } D"), True), ("\\boxed{C} and \\boxed{D}", True),
     ("The answers are C and D.", True), ("C, D", True), (boxed("C"), False), (boxed("C, E"), False), (boxed("B, C, D"), False), ("C", False)],
)  # fmt: skip
def test_two_letters_wanted_together_are_compared_as_a_set(response, expected):
    assert takes(["1", "2", "3", "4", "5"], "C, D", response) == expected
