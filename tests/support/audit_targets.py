"""What the tests of the audit share: an entry of the catalogue as a target."""

from dimref.audit.calling import InProcess


def as_target(form, function, name="target"):
    """A function of inputs by name, called by position as the form says."""

    def positional(*arguments):
        outputs = function(dict(zip(form.signature.arguments, arguments, strict=True)))
        found = tuple(outputs[name] for name in form.signature.outputs)
        return found if len(found) > 1 else found[0]

    return InProcess(positional, "autograd", name)
