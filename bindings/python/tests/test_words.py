"""What is said of the module agrees: type stubs, signatures, the guide."""
import ast
import doctest
import inspect
import os
import pathlib
import re
import tempfile
import unittest

import nuthatch

PACKAGE = pathlib.Path(nuthatch.__file__).parent
GUIDE = pathlib.Path(os.environ["NUTHATCH_CASES"]).parent.parent.parent / "docs" / "python.md"


def stub_classes():
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text())
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def parameters_of(function):
    """Of a stub's function: (name, default as text) by position, then by name only."""
    positional = [argument.arg for argument in function.args.posonlyargs + function.args.args]
    defaults = [None] * (len(positional) - len(function.args.defaults)) + [ast.literal_eval(one) for one in function.args.defaults]
    named = [(argument.arg, None if default is None else ast.literal_eval(default))
             for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults)]
    return list(zip(positional, defaults)), named


class Stubs(unittest.TestCase):
    def test_every_method_has_a_stub_with_its_parameters(self):
        stubs = {node.name: node for node in stub_classes()["Cache"].body if isinstance(node, ast.FunctionDef)}
        public = {name for name in dir(nuthatch.Cache) if not name.startswith("_")}
        self.assertEqual({name for name in stubs if not name.startswith("_")}, public)
        for name in public - {"closed"}:
            positional, named = parameters_of(stubs[name])
            signature = inspect.signature(getattr(nuthatch.Cache, name))
            kinds = inspect.Parameter
            empty_is_none = {kinds.empty: None}
            self.assertEqual(
                [(one.name, empty_is_none.get(one.default, one.default)) for one in signature.parameters.values()
                 if one.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)], positional, name)
            self.assertEqual([(one.name, one.default) for one in signature.parameters.values()
                              if one.kind == kinds.KEYWORD_ONLY], named, name)
            self.assertTrue(inspect.getdoc(getattr(nuthatch.Cache, name)), name)

    def test_the_tuples_have_the_fields_of_their_stubs(self):
        for name in ("Entry", "Fetched", "Stats"):
            fields = [node.target.id for node in stub_classes()[name].body]
            self.assertEqual(fields, list(getattr(nuthatch, name).__match_args__)
                             if hasattr(getattr(nuthatch, name), "__match_args__") else fields)
            self.assertEqual(len(fields), getattr(nuthatch, name).n_fields)

    def test_it_is_marked_as_typed(self):
        self.assertTrue((PACKAGE / "py.typed").is_file())

    def test_all_that_is_public_is_listed(self):
        self.assertEqual(set(nuthatch.__all__), set(stub_classes()) | {"__version__"})
        self.assertRegex(nuthatch.__version__, r"\d+\.\d+\.\d+")


class Guide(unittest.TestCase):
    def test_its_programs_print_what_it_says(self):
        blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
        self.assertGreater(len(blocks), 5)
        before = os.getcwd()
        names = {}
        with tempfile.TemporaryDirectory(prefix="nuthatch-") as folder:
            os.chdir(folder)
            try:
                for number, block in enumerate(blocks, 1):
                    test = doctest.DocTestParser().get_doctest(block, names, f"block {number}", str(GUIDE), 0)
                    self.assertTrue(test.examples, block)
                    said = []
                    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
                    runner.run(test, out=said.append, clear_globs=False)
                    names = test.globs
                    self.assertEqual("".join(said), "")
            finally:
                os.chdir(before)

    def test_the_modules_own_words(self):
        self.assertEqual(doctest.testmod(nuthatch).failed, 0)


if __name__ == "__main__":
    unittest.main()
