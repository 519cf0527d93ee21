"""Compare the results with those that are committed, and write a certificate. `python -m pipeline.verify`"""

from pipeline.execution.command_line import command
from pipeline.report import agreement, certificate, revisions
from pipeline.settings.schema import Config


def stage(config: Config) -> None:
    """Print how far two results agree, write the certificate, and fail if the level asked for is not reached."""
    there = revisions.in_revision(config.against, "against")
    here = revisions.in_revision(config.revision, "revision") if config.revision else revisions.in_working_folder()
    found = agreement.compare(here, there)
    print("\n".join([certificate.first_line(found, here, there), *certificate.details(found, here, there)]))
    certificate.write(config.certificate, found, here, there, config.digits)
    print(f"The certificate is {config.certificate}.")
    if not found.reaches(config.level, config.digits):
        print(f"level is {config.level}: that is not reached.")
        raise SystemExit(1)


main = command(stage)

if __name__ == "__main__":
    main()
