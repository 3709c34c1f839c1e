// A test harness in one header. A test executable is one or more files with TEST(name) { ... } bodies and exactly one
// that says CHECK_MAIN() (test_main.cpp does).
//
//   TEST(adds) { CHECK_EQ(1 + 1, 2); }
//
// Run it with no arguments for all tests, or with words: only tests whose name contains one of them run; `--list` names
// them. A failed check is printed and the test goes on; an exception ends its test as failed; SKIP(reason) ends it as
// skipped. The last line of output is `N passed, N failed` (`, N skipped` when any); exit status 1 if any failed or if
// the words matched nothing. Checks may be made from any thread.
#pragma once

#include "base/error.h"

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <mutex>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

namespace llama_steer::check {

struct test_case {
    const char * name;
    void (*body)();
};

struct skipped {
    std::string reason;
};

inline std::vector<test_case> & cases() {
    static std::vector<test_case> all;
    return all;
}

inline std::atomic<int> & failures() {
    static std::atomic<int> count{0};
    return count;
}

struct registrar {
    registrar(const char * name, void (*body)()) { cases().push_back({name, body}); }
};

inline void fail(const char * file, int line, const std::string & message) {
    static std::mutex printing;
    std::lock_guard<std::mutex> lock(printing);
    failures()++;
    std::printf("    %s:%d: %s\n", file, line, message.c_str());
    std::fflush(stdout);
}

template <typename T>
std::string text(const T & value) {
    std::ostringstream out;
    out.precision(17);
    if constexpr (std::is_same_v<T, error_code>) {
        out << error_code_name(value);
    } else if constexpr (std::is_enum_v<T>) {
        out << static_cast<long long>(value);
    } else {
        out << value;
    }
    return out.str();
}

template <typename A, typename B>
void equal(const char * file, int line, const char * expressions, const A & a, const B & b) {
    if (!(a == b)) fail(file, line, std::string("CHECK_EQ(") + expressions + "): " + text(a) + " is not " + text(b));
}

/// Passes when |a - b| <= tol; NaN never passes.
inline void near(const char * file, int line, const char * expressions, double a, double b, double tol) {
    if (!(std::fabs(a - b) <= tol)) {
        fail(file, line,
             std::string("CHECK_NEAR(") + expressions + "): |" + text(a) + " - " + text(b) +
                 "| = " + text(std::fabs(a - b)) + " > " + text(tol));
    }
}

/// Runs `f`; passes when it throws llama_steer::error of that code. Returns the message, to be looked at further.
template <typename F>
std::string throws_code(const char * file, int line, const char * expression, F && f, error_code expected) {
    const std::string head = std::string(expression) + ": ";
    try {
        f();
    } catch (const error & e) {
        if (e.code() != expected) {
            fail(
                file, line,
                head + error_code_name(e.code()) + " thrown, not " + error_code_name(expected) + " (" + e.what() + ")");
        }
        return e.what();
    } catch (const std::exception & e) {
        fail(file, line, head + "another exception thrown: " + e.what());
        return e.what();
    }
    fail(file, line, head + "nothing thrown, " + error_code_name(expected) + " expected");
    return "";
}

inline bool selected(const char * name, int argc, char ** argv) {
    if (argc <= 1) return true;
    for (int i = 1; i < argc; i++) {
        if (std::strstr(name, argv[i])) return true;
    }
    return false;
}

inline int run(int argc, char ** argv) {
    if (argc == 2 && !std::strcmp(argv[1], "--list")) {
        for (const auto & test : cases()) std::printf("%s\n", test.name);
        return 0;
    }
    int passed = 0, failed = 0, skips = 0;
    for (const auto & test : cases()) {
        if (!selected(test.name, argc, argv)) continue;
        const int before = failures();
        try {
            test.body();
        } catch (const skipped & s) {
            std::printf("skip %s: %s\n", test.name, s.reason.c_str());
            if (failures() == before) {
                skips++;
                continue;
            }
        } catch (const error & e) {
            fail(test.name, 0, std::string("uncaught ") + error_code_name(e.code()) + ": " + e.what());
        } catch (const std::exception & e) {
            fail(test.name, 0, std::string("uncaught exception: ") + e.what());
        } catch (...) {
            fail(test.name, 0, "uncaught exception of an unknown type");
        }
        const bool ok = failures() == before;
        std::printf("%s %s\n", ok ? "ok  " : "FAIL", test.name);
        std::fflush(stdout);
        (ok ? passed : failed)++;
    }
    std::printf("%d passed, %d failed", passed, failed);
    if (skips) std::printf(", %d skipped", skips);
    std::printf("\n");
    return failed || passed + failed + skips == 0;
}

}  // namespace llama_steer::check

#define TEST(name)                                                                                                     \
    static void test_body_##name();                                                                                    \
    static const ::llama_steer::check::registrar test_registrar_##name(#name, test_body_##name);                       \
    static void test_body_##name()

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) ::llama_steer::check::fail(__FILE__, __LINE__, "CHECK(" #condition ")");                     \
    } while (0)

#define CHECK_EQ(a, b) ::llama_steer::check::equal(__FILE__, __LINE__, #a ", " #b, (a), (b))

#define CHECK_NEAR(a, b, tol) ::llama_steer::check::near(__FILE__, __LINE__, #a ", " #b, (a), (b), (tol))

#define CHECK_THROWS_CODE(expression, expected)                                                                        \
    ::llama_steer::check::throws_code(                                                                                 \
        __FILE__, __LINE__, #expression, [&] { (void)(expression); }, (expected))

#define SKIP(reason)                                                                                                   \
    throw ::llama_steer::check::skipped { (reason) }

#define CHECK_MAIN()                                                                                                   \
    int main(int argc, char ** argv) { return ::llama_steer::check::run(argc, argv); }
