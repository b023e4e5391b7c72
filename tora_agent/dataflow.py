"""What a program computes, told from its code alone: a symbolic run, in which what is computed alike has one key.

Names, the order of independent statements, and the split into functions and variables make no difference to a key.
Loops are run once, with placeholders for what they change; both branches of a condition are run and joined.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import repeat

from tora_agent.values import (
    ARITHMETIC,
    COMPUTED,
    MODULE,
    NOTHING,
    SYMBOL,
    WRITTEN,
    Function,
    Value,
    bool_op,
    comparison,
    constant_value,
    either,
    fraction,
    made_of,
    negative,
)

STEPS = 50_000
"""Nodes that are looked at before a program is given up."""
_STATE, _PRINTED, _RAISED, _RETURNED, _LEFT, _JUMPED = "@state", "@printed", "@raised", "@returned", "@left", "@jumped"
_EFFECTS = (_STATE, _PRINTED, _RAISED, _RETURNED, _LEFT, _JUMPED)
"""What a program does beside giving values to names, kept as if it did that."""
_SAME = {"bool", "str", "float", "simplify", "expand", "nsimplify", "sympify", "S", "N", "n", "evalf", "doit"}
"""Functions and methods that leave a value what it is, for our purpose."""
_NOTATION = {"Rational", "Fraction", "Integer", "Decimal", "Matrix", "FiniteSet", "set", "list", "tuple", "sorted"}
"""Functions that only write a constant in another way; of several, they are arithmetic."""
_WORDING = {"strip", "lower", "upper", "replace", "split", "get"}
"""Methods that leave what is written written."""
_MATHS = {
    "sqrt",
    "log",
    "ln",
    "exp",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "root",
    "cbrt",
    "pow",
    "int",
    "round",
}
_SYMBOLS = {"symbols", "Symbol", "var"}
_EQUAL = {"Eq", "isclose", "allclose", "equals"}
_MUTATORS = {"append", "add", "extend", "insert", "update", "remove", "discard", "pop", "sort", "reverse"}


class TooLong(Exception):
    """The program is too long to be run symbolically."""


class Trace:
    """A symbolic run of `cells`, one after the other in one kernel; of those not `ended` names alone remain.

    Raises `TooLong`, `RecursionError`, or `ValueError` for a constant that is too long to be written.
    """

    def __init__(self, cells: Iterable[ast.Module], ended: Iterable[bool] = repeat(True)) -> None:
        self.results: set[str] = set()
        """Keys of what was printed, or computed and given a name, in cells that have ended."""
        self._names: dict[str, Value] = {}
        self._left, self._depth, self._symbols = STEPS, 0, 0
        self._running: list[ast.AST] = []
        for cell, counts in zip(cells, ended, strict=False):
            self._symbols, before = 0, set(self.results)
            self._run(cell.body)
            if cell.body and isinstance(cell.body[-1], ast.Expr):
                last = self._last
                self._show([last] if last != NOTHING else [])
            self.results = self.results if counts else before

    @property
    def state(self) -> Value | None:
        """What the last call of `check` said, or could have if nothing was raised and no function left before; else
        what was printed last; None without either."""
        told = self._names.get(_STATE) or self._names.get(_PRINTED)
        for ended in (self._names.get(_RAISED), self._names.get(_LEFT)):
            if told and ended and (ended.effort or ended.comparisons):
                told = either(ended, told, ended)
        return told

    # Statements

    def _run(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            self._statement(statement)

    def _statement(self, s: ast.stmt) -> None:
        self._last = NOTHING
        match s:
            case ast.Import():
                self._names |= {alias.asname or alias.name.partition(".")[0]: MODULE for alias in s.names}
            case ast.ImportFrom():
                self._names |= {alias.asname or alias.name: Value(alias.name) for alias in s.names}
            case ast.Assign():
                for target in s.targets:
                    self._assign(target, s.value)
            case ast.AnnAssign() if s.value:
                self._assign(s.target, s.value)
            case ast.AugAssign():
                self._assign(s.target, ast.BinOp(_loaded(s.target), s.op, s.value))
            case ast.Expr():
                self._last = self.value(s.value)
            case ast.If():
                self._if(self.value(s.test), s.body, s.orelse)
            case ast.For() | ast.AsyncFor():
                self._loop([self.value(s.iter)], None, s.target, s.body)
                self._if(made_of("loop", ast.dump(s), effort=COMPUTED), s.orelse, [])
            case ast.While():
                self._loop([], s.test, None, s.body)
                self._if(made_of("loop", ast.dump(s), effort=COMPUTED), s.orelse, [])
            case ast.With() | ast.AsyncWith():
                for item in s.items:
                    if item.optional_vars:
                        self._assign(item.optional_vars, item.context_expr)
                self._run(s.body)
            case ast.Try() | ast.TryStar():
                self._try(s)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._names[s.name] = self._function(s)
            case ast.Return():
                value = self.value(s.value) if s.value else NOTHING
                before = self._names.get(_RETURNED)
                self._names[_RETURNED] = either(self._names.get(_LEFT, NOTHING), before, value) if before else value
                self._end(_LEFT)
            case ast.Assert():
                self._if(self.value(s.test), [], [ast.Raise()])
            case ast.Raise():
                self._end(_RAISED)
            case ast.Break() | ast.Continue():
                self._names[_JUMPED] = Value(type(s).__name__)
            case ast.ClassDef() | ast.Match():
                self._names |= {name: made_of(ast.dump(s), name, effort=COMPUTED) for name in _written([s])}
            case _:
                pass

    def _end(self, how: str) -> None:
        self._names[how] = made_of(how, self._names.get(how, NOTHING))

    def _assign(self, target: ast.AST, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for part, found in [(part, self.value(each)) for part, each in zip(target.elts, value.elts, strict=True)]:
                self._bind(part, found)
        else:
            self._bind(target, self.value(value))

    def _bind(self, target: ast.AST, value: Value) -> None:
        match target:
            case ast.Name(id=name):
                if value == SYMBOL:
                    value = Value(f"symbol {self._symbols}")
                    self._symbols += 1
                self._names[name] = value
                if value.effort == COMPUTED:
                    self.results.add(value.key)
            case ast.Tuple() | ast.List():
                for i, part in enumerate(target.elts):
                    self._bind(part, value if value == SYMBOL else made_of("item", value, str(i)))
            case ast.Starred():
                self._bind(target.value, value)
            case ast.Subscript(value=ast.Name(id=name)):
                old = self._names.get(name, NOTHING)
                self._names[name] = made_of("put", old, self.value(target.slice), value, effort=COMPUTED)
            case _:
                pass

    def _if(self, test: Value, body: Sequence[ast.stmt], orelse: Sequence[ast.stmt]) -> None:
        before = self._names
        self._names = dict(before)
        self._run(body)
        then, self._names = self._names, dict(before)
        self._run(orelse)
        self._names |= {
            name: either(test, then.get(name, NOTHING), self._names.get(name, NOTHING))
            for name in {**then, **self._names}
            if then.get(name) != self._names.get(name)
        }

    def _try(self, s: ast.Try | ast.TryStar) -> None:
        self._run(s.body)
        raised = made_of("raised", *(ast.dump(each) for each in s.body), effort=COMPUTED)
        for handler in s.handlers:
            tried = self._names
            self._if(raised, handler.body, [])
            # What a comparison decides is decided by it: an exception is the exception.
            self._names |= {name: value for name, value in tried.items() if value.comparisons}
        self._run([*s.orelse, *s.finalbody])

    def _loop(self, over: list[Value], test: ast.expr | None, target: ast.AST | None, body: Sequence[ast.stmt]) -> None:
        before, changed = self._names, _written(body)
        self._depth += 1
        self._names = {name: value for name, value in before.items() if name not in _EFFECTS}
        for i, name in enumerate(changed):
            self._names[name] = Value(f"{self._depth}, changed {i}", before.get(name, NOTHING).effort)
        self._names |= {name: Value(f"{self._depth}, item {i}") for i, name in enumerate(_written([target]))}
        over = [*over, *([self.value(test)] if test else [])]
        self._run(body)
        self._depth -= 1
        after, names = self._names, [*changed, *_EFFECTS]
        whole = made_of("loop", *over, *(before.get(name, NOTHING) for name in changed))
        whole = made_of("loop", whole, *(after.get(name, NOTHING) for name in names))
        self._names = before | after
        for i, name in enumerate(names):
            if name in after and not (after[name].effort == WRITTEN and before.get(name, after[name]) == after[name]):
                self._names[name] = made_of("of loop", whole, str(i), effort=COMPUTED)
        self._names.pop(_JUMPED, None)

    # Expressions

    def value(self, node: ast.AST) -> Value:
        """What `node` stands for. A call of `check` or `print` is noted."""
        self._left -= 1
        if self._left < 0:
            raise TooLong
        match node:
            case ast.Name(id=name):
                return self._names.get(name) or Value(name)
            case ast.Constant(value=constant):
                return constant_value(constant)
            case ast.Attribute():
                of = self.value(node.value)
                return Value(node.attr) if of == MODULE else made_of("attribute", of, node.attr, effort=COMPUTED)
            case ast.NamedExpr():
                self._assign(node.target, node.value)
                return self.value(node.target)
            case ast.FormattedValue(value=shown, format_spec=ast.JoinedStr() as how):
                return made_of("format", self.value(shown), ast.dump(how), effort=ARITHMETIC)
            case ast.Await() | ast.FormattedValue() | ast.Starred():
                return self.value(node.value)
            case ast.Lambda():
                return self._function(node)
            case ast.Call():
                return self._call(node)
            case ast.BinOp():
                if isinstance(node.op, ast.Div) and (written := fraction(node.left, node.right)):
                    return written
                sides = self.value(node.left), self.value(node.right)
                made = made_of(type(node.op).__name__, *sides, effort=ARITHMETIC)
                return replace(made, sides=sides) if isinstance(node.op, ast.Sub) else made
            case ast.Compare():
                operands = [self.value(each) for each in (node.left, *node.comparators)]
                return comparison(" ".join(type(op).__name__ for op in node.ops), operands)
            case ast.BoolOp():
                return bool_op(node.op, [self.value(each) for each in node.values])
            case ast.UnaryOp(operand=operand):
                value = self.value(operand)
                if isinstance(node.op, ast.USub) and (number := negative(value)):
                    return number
                made = made_of(type(node.op).__name__, value)
                return replace(made, comparisons=value.comparisons) if isinstance(node.op, ast.Not) else made
            case ast.IfExp():
                return either(self.value(node.test), self.value(node.body), self.value(node.orelse))
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp() | ast.DictComp():
                return self._comprehension(node)
            case ast.Subscript():
                of, at = self.value(node.value), self.value(node.slice)
                item = of.display and isinstance(node.slice, ast.Constant | ast.UnaryOp)
                return made_of("item", of, at, effort=WRITTEN if item else ARITHMETIC)
            case ast.Slice():
                bounds = [self.value(each) if each else NOTHING for each in (node.lower, node.upper, node.step)]
                return made_of("slice", *bounds)
        parts = [self.value(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        display = isinstance(node, ast.List | ast.Tuple | ast.Dict)
        return replace(made_of(type(node).__name__, *parts), display=display)

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp) -> Value:
        before = dict(self._names)
        self._depth += 1
        parts: list[Value] = []
        for i, each in enumerate(node.generators):
            parts.append(self.value(each.iter))
            at = f"{self._depth}, generator {i}"
            self._names |= {name: Value(f"{at}, item {k}") for k, name in enumerate(_written([each.target]))}
            parts += [self.value(condition) for condition in each.ifs]
        made = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        parts += [self.value(each) for each in made]
        self._depth -= 1
        self._names = before
        return made_of("comprehension", *parts, effort=COMPUTED)

    def _function(self, node: Function) -> Value:
        """A function, known by what it does with arguments that are not known."""
        unknown = [Value(f"argument {i}") for i in range(len(_parameters(node)))]
        seen, self.results, symbols = self.results, set(), self._symbols
        effects = {name: value for name, value in self._names.items() if name in _EFFECTS}
        does = self._apply(Value("", function=node), unknown, {})
        self._names = {name: value for name, value in self._names.items() if name not in _EFFECTS} | effects
        self.results, self._symbols = seen, symbols
        return replace(does, key=made_of("function", does).key, comparisons=(), sides=(), function=node)

    def _apply(self, called: Value, arguments: Sequence[Value], named: dict[str, Value]) -> Value:
        """Run the body of a function of the program's own."""
        node = called.function
        assert node
        if node in self._running:
            return made_of("itself", *arguments, *named.values(), effort=COMPUTED)
        outside = self._names
        parameters, defaults = _parameters(node), node.args.defaults
        given = dict(zip(reversed(parameters), map(self.value, reversed(defaults)), strict=False))
        given |= dict(zip(parameters, arguments, strict=False)) | named
        self._names = {name: each for name, each in outside.items() if name not in (_LEFT, _RETURNED)} | given
        self._running.append(node)
        if isinstance(node, ast.Lambda):
            result = self.value(node.body)
        else:
            self._run(node.body)
            result = self._names.get(_RETURNED, NOTHING)
        self._running.pop()
        inside, self._names = self._names, outside
        if inside.get(_STATE) != outside.get(_STATE) and _LEFT in inside:
            outside[_LEFT] = inside[_LEFT]
        shared = [name for each in ast.walk(node) if isinstance(each, ast.Global | ast.Nonlocal) for name in each.names]
        outside |= {name: inside[name] for name in (_STATE, _PRINTED, _RAISED, *shared) if name in inside}
        return result

    def _call(self, node: ast.Call) -> Value:
        arguments = [self.value(each) for each in node.args]
        named = {each.arg or "**": self.value(each.value) for each in node.keywords}
        if isinstance(node.func, ast.Attribute) and (of := self.value(node.func.value)) != MODULE:
            return self._method(node.func, of, arguments, named)
        called = self.value(node.func)
        if called.function:
            return self._apply(called, arguments, named)
        match called.key, arguments:
            case "check", _:
                said, before = (arguments or [*named.values(), NOTHING])[0], self._names.get(_STATE)
                self._names[_STATE] = said if before in (None, said) else bool_op(ast.And(), [before, said])
                self._show(arguments[:1])
                return NOTHING
            case "print", _:
                self._show([self.value(part) for each in node.args for part in _parts(each)])
                return NOTHING
            case (("exit" | "quit"), _):
                self._end(_RAISED)
                return NOTHING
            case (("all" | "any"), [_]) if isinstance(node.args[0], ast.Tuple | ast.List):
                each = [self.value(part) for part in node.args[0].elts]
                return bool_op(ast.And() if called.key == "all" else ast.Or(), each)
            case name, [first, *rest] if name in _SAME or (name == "round" and rest):
                return first
            case name, [first, second, *_] if name in _EQUAL:
                return comparison("Eq", [first, second])
            case name, [first] if name in ("abs", "Abs", "fabs"):
                return replace(made_of("abs", first), sides=first.sides)
            case name, _ if name in _SYMBOLS:
                return SYMBOL
            case (("Rational" | "Fraction"), [_, _]) if len(node.args) == 2 and (written := fraction(*node.args)):
                return written
            case name, _ if name in ("isinstance", "type") or (name in {"int", *_NOTATION} and len(arguments) == 1):
                return made_of(name, *arguments, *_flat(named))
        effort = ARITHMETIC if called.key in _MATHS | _NOTATION else COMPUTED
        return made_of("call", called, *arguments, *_flat(named), effort=effort)

    def _method(self, method: ast.Attribute, of: Value, arguments: list[Value], named: dict[str, Value]) -> Value:
        if method.attr in _SAME:
            return of
        if method.attr in _EQUAL and arguments:
            return comparison("Eq", [of, arguments[0]])
        effort = WRITTEN if method.attr in _WORDING else COMPUTED
        made = made_of("method", method.attr, of, *arguments, *_flat(named), effort=effort)
        if method.attr in _MUTATORS and isinstance(method.value, ast.Name):
            self._names[method.value.id] = made
        return made

    def _show(self, values: Sequence[Value]) -> None:
        if values:
            self._names[_PRINTED] = values[-1]
        shown = [*values, *(operand for value in values for each in value.comparisons for operand in each)]
        self.results |= {value.key for value in shown if value.effort}


def _parts(shown: ast.expr) -> list[ast.expr]:
    """What is shown by printing `shown`: the values in a formatted text or a list."""
    if isinstance(shown, ast.JoinedStr):
        return [part.value for part in shown.values if isinstance(part, ast.FormattedValue)]
    return [*shown.elts, shown] if isinstance(shown, ast.Tuple | ast.List) else [shown]


def _parameters(node: Function) -> list[str]:
    return [each.arg for each in (*node.args.posonlyargs, *node.args.args)]


def _flat(named: dict[str, Value]) -> list[Value | str]:
    return [part for name in sorted(named) for part in (name, named[name])]


def _written(nodes: Iterable[ast.AST | None]) -> list[str]:
    """The names that `nodes` change, in order of appearance."""
    found: dict[str, None] = {}
    for node in (inner for each in nodes if each for inner in ast.walk(each)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                found[name] = None
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store()):
                found[name] = None
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if method in _MUTATORS:
                found[name] = None
    return list(found)


def _loaded(target: ast.expr) -> ast.expr:
    """`target` as it is read."""
    return ast.Name(target.id) if isinstance(target, ast.Name) else target
