// Frames of C++: virtual calls, a destructor that runs while an exception passes, a catch block.
using callback = void (*)(void *);

namespace {

struct Base {
    virtual ~Base() = default;
    virtual int call(int depth) = 0;
};

struct Derived : Base {
    callback function;
    void *argument;
    Derived(callback f, void *a) : function(f), argument(a) {}
    [[gnu::noinline]] int call(int depth) override
    {
        if (depth == 0) {
            function(argument);
            return 1;
        }
        Base *self = this;
        return self->call(depth - 1) + 1;
    }
};

struct CallsOnExit {
    callback function;
    void *argument;
    [[gnu::noinline]] ~CallsOnExit() { function(argument); }
};

[[gnu::noinline]] int throws(int depth)
{
    if (depth == 0)
        throw depth;
    return throws(depth - 1) + 1;
}

} // namespace

extern "C" int virtual_calls(int depth, callback function, void *argument)
{
    Derived object(function, argument);
    return object.call(depth) + 1;
}

extern "C" int while_throwing(int depth, callback function, void *argument)
{
    try {
        CallsOnExit guard{function, argument};
        return throws(depth);
    } catch (int n) {
        function(argument);
        return n;
    }
}
