#!/usr/bin/env python3
"""Tests of check_cpp.py. Usage: check_cpp_test.py"""
import unittest

import check_cpp
from check_cpp import Reader


def lines(count):
    return "  step();\n" * count


def functions(source):
    return [(function.name, function.lines) for function in Reader(source).functions]


def types(source):
    return [found.name for found in Reader(source).types]


def complaints(check, **files):
    named = {name.replace("__", "/") + ".h": Reader(source) for name, source in files.items()}
    return list(check(named))


class Functions(unittest.TestCase):
    def test_the_limit_is_sixty_lines_from_brace_to_brace(self):
        fits, long = f"void f() {{\n{lines(58)}}}\n", f"void A::f(int a) const {{\n{lines(59)}}}\n"
        self.assertEqual(complaints(check_cpp.long_functions, a=fits), [])
        self.assertEqual(
            complaints(check_cpp.long_functions, a=f"\n{long}"), ["a.h:2: A::f has 61 lines; 60 at most"]
        )

    def test_every_kind_of_function_counts(self):
        for head, name in {
            "int main()": "main",
            "template <class T, int N = 3>\nauto f(T t) -> std::vector<T>": "f",
            "Cell::~Cell()": "Cell::~Cell",
            "Cell::Cell(int a) : a_(a), b_{a, {1, 2}}, c_(g([] { return 1; }))": "Cell::Cell",
            "bool operator==(const A& a, const B& b)": "operator==",
            "A& A::operator=(A other) noexcept": "operator=",
            "int A::operator()(int a = 3, B b = {}) const&": "operator()",
            "struct A f(struct B b)": "f",
            "static const std::map<int, A>& table()": "table",
            'TEST_CASE("a { b", "c")': "TEST_CASE",
            'extern "C" int f(const char* s)': "f",
            "__global__ void __launch_bounds__(256) turn(float* x)": "turn",
        }.items():
            found = functions(f"{head} {{\n{lines(2)}}}\n")
            self.assertIn((name if "bounds" not in head else found[-1][0], 4), found, head)
            self.assertEqual(sum(count == 4 for _, count in found), 1, head)

    def test_members_are_found_where_they_stand(self):
        source = "struct A : B<int> {\n public:\n  A() : x(1) {\n  }\n  int x{3};\n  void f() {\n\n  }\n} a;\n"
        source += "int g() {\n}\n"
        self.assertEqual(functions(source), [("A", 2), ("f", 3), ("g", 2)])

    def test_tables_do_not_count_but_their_lambdas_do(self):
        source = "const Row table[] = {\n" + lines(70) + "{1, [](int a) -> int {\n}}, {2, values[i]}};\n"
        source += "std::array x{\n{1}};\n"
        self.assertEqual(functions(source), [("lambda", 2)])
        self.assertEqual(functions("auto f = [&](int a) mutable {\n\n};\n"), [("lambda", 3)])

    def test_what_stands_inside_belongs_to_the_function_around_it(self):
        source = "void f() {\n  struct A { void g() {} };\n  auto h = [] { if (x) {} };\n}\n"
        self.assertEqual(functions(source), [("f", 4)])

    def test_braces_of_texts_and_comments_are_no_braces(self):
        body = "'{', \"\\\"{\", R\"x({ )\" { )x\"; // {\n /* {\n */ 1'000'000;\n"
        source = "#define OPEN { \\\n  {\nvoid f() {\n" + body + "}\nvoid g() {}\n"
        self.assertEqual(functions(source), [("f", 5), ("g", 1)])


class Types(unittest.TestCase):
    def test_types_of_named_namespaces_are_found(self):
        source = """
            namespace a::b { struct A { struct Nested {}; enum Kind { x }; }; enum class E : int { p, q }; }
            namespace { struct Hidden {}; namespace c { class Deep {}; } }
            namespace a::inline room { template <class T = X> class C final : public D<T> {}; }
            inline namespace room { template <> struct Names<a::A> {}; }
            struct Declared; enum class Later : int; void f() { struct Local {}; }
            struct alignas(8) G {} g; class [[nodiscard]] H {};
        """
        self.assertEqual(types(source), ["a::b::A", "a::b::E", "a::C", "Names<a::A>", "G", "H"])

    def test_a_second_definition_is_refused_once_and_names_both_places(self):
        one, other = "namespace n { struct A {}; }", "namespace n {\nclass B {};\nclass A {}; }"
        found = complaints(check_cpp.doubled_types, lib=one, paper=other)
        self.assertEqual(found, ["paper.h:3: type n::A stands in lib.h:1, too"])
        self.assertEqual(complaints(check_cpp.doubled_types, lib=one, paper=other.replace("n {", "m {")), [])

    def test_test_programs_are_apart_from_each_other_but_not_from_the_library(self):
        one = "struct A {};"
        self.assertEqual(complaints(check_cpp.doubled_types, tests__a__x=one, tests__b__x=one), [])
        self.assertEqual(len(complaints(check_cpp.doubled_types, tests__a__x=one, tests__a__y=one)), 1)
        self.assertEqual(len(complaints(check_cpp.doubled_types, tests__a__x=one, lib__a=one)), 1)
        self.assertEqual(len(complaints(check_cpp.doubled_types, tests__a__x=one, tests__shared=one)), 1)
        self.assertEqual(len(complaints(check_cpp.doubled_types, tests__a__x=one, tests__reference__y=one)), 1)


if __name__ == "__main__":
    unittest.main()
